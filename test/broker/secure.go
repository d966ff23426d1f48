package broker

import (
	"bufio"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// audit sends every decision about a right to a file of its own.
const audit = `
appender.audit.type = File
appender.audit.name = audit
appender.audit.fileName = %s
appender.audit.layout.type = PatternLayout
appender.audit.layout.pattern = %%m%%n
logger.authorizer.name = kafka.authorizer.logger
logger.authorizer.level = DEBUG
logger.authorizer.additivity = false
logger.authorizer.appenderRef.audit.ref = audit
`

// secure gives a node a listener that speaks SASL_SSL with SCRAM-SHA-512, and an
// authorizer. The plain listeners stay: the nodes and the test's own clients use
// them, and are told everything.
func (c *Cluster) secure(n *node, set map[string]string) {
	set["listeners"] += fmt.Sprintf(",SECURE://127.0.0.1:%d", n.secure)
	set["advertised.listeners"] += fmt.Sprintf(",SECURE://127.0.0.1:%d", n.secure)
	protocols := cmp.Or(set["listener.security.protocol.map"], "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT")
	set["listener.security.protocol.map"] = protocols + ",SECURE:SASL_SSL"
	maps.Copy(set, map[string]string{
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":           "User:ANONYMOUS", // who comes by a plain listener

		"listener.name.secure.ssl.keystore.type":              "PEM",
		"listener.name.secure.ssl.keystore.location":          c.keystorePath(),
		"listener.name.secure.sasl.enabled.mechanisms":        "SCRAM-SHA-512",
		"listener.name.secure.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
	})
}

func (c *Cluster) keystorePath() string { return filepath.Join(c.Dir, "broker.pem") }

// CAFile is the authority that certified the secure listeners.
func (c *Cluster) CAFile() string { return filepath.Join(c.Dir, "ca.pem") }

// Secured returns the addresses of the secure listeners, in the order of the nodes' IDs.
func (c *Cluster) Secured() (addrs []string) {
	for _, n := range c.nodes {
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", n.secure))
	}
	return addrs
}

func (n *node) auditPath() string { return filepath.Join(n.dir, "audit.log") }

// certify makes an authority and the nodes' one certificate, for loopback.
func (c *Cluster) certify() error {
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the authority's key: %w", err)
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return fmt.Errorf("make the authority's certificate: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the brokers' key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("make the brokers' certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the brokers' key: %w", err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	if err := os.WriteFile(c.CAFile(), block("CERTIFICATE", caDER), 0o600); err != nil {
		return err
	}
	store := append(block("PRIVATE KEY", pkcs8), append(block("CERTIFICATE", der), block("CERTIFICATE", caDER)...)...)
	return os.WriteFile(c.keystorePath(), store, 0o600)
}

// Decision is what the authorizer of a node said to a request.
type Decision struct {
	User      string // without User:
	Allowed   bool
	Operation string // as the brokers name it: DESCRIBE_CONFIGS
	Kind      string // Topic, Group, TransactionalId, Cluster
	Name      string
	Request   string // as Produce
}

var decision = regexp.MustCompile(`^Principal = User:(\S+) is (Allowed|Denied) operation = (\w+) from host = \S+ on resource = (\w+):LITERAL:(\S+) for request = (\w+) `)

// Decisions returns what the authorizers have said so far, once each.
func (c *Cluster) Decisions() (map[Decision]bool, error) {
	said := map[Decision]bool{}
	for _, n := range c.nodes {
		log, err := os.Open(n.auditPath())
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(log)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if m := decision.FindStringSubmatch(lines.Text()); m != nil {
				said[Decision{m[1], m[2] == "Allowed", m[3], m[4], m[5], m[6]}] = true
			}
		}
		log.Close()
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", n.auditPath(), err)
		}
	}
	return said, nil
}
