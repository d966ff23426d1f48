package service

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority certifies servers and clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newAuthority(name string) *authority {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	return &authority{must(x509.ParseCertificate(der)), key, inPEM("CERTIFICATE", der)}
}

// certify returns a certificate for loopback and for a client, and its key.
func (a *authority) certify(serial int64, notAfter time.Time) (cert, key []byte) {
	own := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must(x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &own.PublicKey, a.key))
	return inPEM("CERTIFICATE", der), inPEM("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(own)))
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// secure is a server that speaks TLS, and the files that it follows.
type secure struct {
	t        *testing.T
	url      string
	files    Certificates
	mu       sync.Mutex
	said     bytes.Buffer
	notAfter time.Time
}

func (s *secure) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(b)
}

// says counts how often the log has a text.
func (s *secure) says(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.said.String(), text)
}

func (s *secure) until() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notAfter
}

func newSecure(t *testing.T, mutual bool) *secure {
	dir := t.TempDir()
	s := &secure{t: t}
	s.files = Certificates{
		CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), Logger: slog.New(slog.NewTextHandler(s, nil)),
		InForce: func(notAfter time.Time) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.notAfter = notAfter
		},
	}
	if mutual {
		s.files.ClientCAFile = filepath.Join(dir, "ca.crt")
	}
	return s
}

// write puts a file in place whole, so that none is seen half written.
func (s *secure) write(path string, text []byte) {
	s.t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
}

func (s *secure) pair(cert, key []byte) {
	s.write(s.files.CertFile, cert)
	s.write(s.files.KeyFile, key)
}

// serve answers each request with its protocol, until the test ends.
func (s *secure) serve() {
	s.t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := TLS(plain, s.files)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- HTTP("test", listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }), time.Second).Run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	s.url = "https://" + plain.Addr().String()
}

// client trusts an authority, and shows a certificate if it is given one.
func (s *secure) client(trusts *authority, pair ...[]byte) *http.Client {
	settings := &tls.Config{RootCAs: x509.NewCertPool(), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	settings.RootCAs.AddCert(trusts.cert)
	if len(pair) > 0 {
		own := must(tls.X509KeyPair(pair[0], pair[1]))
		// Shown whatever the server asks for: by itself, a client would keep back what another authority made.
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: settings, ForceAttemptHTTP2: true}}
	s.t.Cleanup(client.CloseIdleConnections)
	return client
}

// ask returns the certificate's serial number, and the protocol.
func (s *secure) ask(client *http.Client) (serial int64, proto string, err error) {
	resp, err := client.Get(s.url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), string(body), err
}

func (s *secure) eventually(what string, holds func() bool) {
	s.t.Helper()
	for began := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority("ours"), newAuthority("theirs")
	s := newSecure(t, false)
	s.pair(ours.certify(7, time.Now().Add(time.Hour)))
	s.serve()
	if serial, proto, err := s.ask(s.client(ours)); err != nil || serial != 7 || proto != "HTTP/2.0" {
		t.Errorf("got certificate %d by %s, %v", serial, proto, err)
	}
	if _, _, err := s.ask(s.client(theirs)); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("another authority's client: %v", err)
	}
	old := s.client(ours)
	old.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS10
	old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if _, _, err := s.ask(old); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
}

// Who shows no certificate, or one by others, is refused; also where an
// earlier session could be taken up, after its authority is no longer one.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ours, partners, others := newAuthority("ours"), newAuthority("partners"), newAuthority("others")
	s := newSecure(t, true)
	later := time.Now().Add(time.Hour)
	s.pair(ours.certify(7, later))
	s.write(s.files.ClientCAFile, partners.pem)
	s.serve()
	if _, _, err := s.ask(s.client(ours)); err == nil { // the reason may be lost: the server closes while the client writes
		t.Error("a client without a certificate was taken")
	}
	cert, key := others.certify(8, later)
	if _, _, err := s.ask(s.client(ours, cert, key)); err == nil {
		t.Error("a certificate by others was taken")
	}
	cert, key = partners.certify(9, later)
	partner := s.client(ours, cert, key)
	if _, _, err := s.ask(partner); err != nil {
		t.Errorf("a partner's certificate: %v", err)
	}
	s.write(s.files.ClientCAFile, others.pem)
	s.eventually("the other authority is in force", func() bool { return s.says("certificate in force") == 2 })
	if _, _, err := s.ask(partner); err != nil {
		t.Errorf("on a connection from before the change: %v", err)
	}
	partner.CloseIdleConnections()
	if _, _, err := s.ask(partner); err == nil {
		t.Error("a session was taken up under an authority that is no longer one")
	}
}

// A change is for new connections; what cannot be used changes nothing, and is
// said once.
func TestCertificateIsFollowed(t *testing.T) {
	t.Parallel()
	ours := newAuthority("ours")
	s := newSecure(t, false)
	soon, later := time.Now().Add(time.Hour).Truncate(time.Second), time.Now().Add(2*time.Hour).Truncate(time.Second)
	s.pair(ours.certify(1, soon))
	s.serve()
	if !s.until().Equal(soon) {
		t.Errorf("the certificate holds until %s, not %s", soon, s.until())
	}
	early := s.client(ours)
	serves := func(client *http.Client, want int64) {
		t.Helper()
		if serial, _, err := s.ask(client); err != nil || serial != want {
			t.Errorf("got certificate %d, %v; want %d", serial, err, want)
		}
	}
	serves(early, 1)

	cert, key := ours.certify(2, later)
	s.pair(cert, key)
	s.eventually("the change is followed", func() bool { return s.until().Equal(later) })
	serves(s.client(ours), 2)
	serves(early, 1)

	kept := "the certificate stays as it was"
	before := s.says(kept) // the two files are not written at once
	_, foreign := ours.certify(3, later)
	for i, spoil := range []func(){
		func() { s.write(s.files.KeyFile, foreign) },
		func() { s.write(s.files.KeyFile, []byte("no key")) },
		func() { must(0, os.Remove(s.files.KeyFile)) },
	} {
		spoil()
		s.eventually("somebody is told", func() bool { return s.says(kept) == before+i+1 })
		time.Sleep(2 * certsLook) // it is looked at again, and not said again
		if n := s.says(kept); n != before+i+1 {
			t.Errorf("said %d times for %d changes", n-before, i+1)
		}
		serves(s.client(ours), 2)
	}
	forced := s.says("certificate in force")
	s.write(s.files.KeyFile, key)
	s.eventually("the corrected file is in force", func() bool { return s.says("certificate in force") == forced+1 })
}

func TestTLSNeedsItsFiles(t *testing.T) {
	t.Parallel()
	ours := newAuthority("ours")
	s := newSecure(t, true)
	cert, key := ours.certify(1, time.Now().Add(time.Hour))
	_, foreign := ours.certify(2, time.Now().Add(time.Hour))
	s.write(s.files.ClientCAFile, []byte("none"))
	starts := func(want string) {
		t.Helper()
		if _, err := TLS(nil, s.files); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	starts("tls.key: no such file")
	s.pair(cert, foreign)
	starts("are not a certificate and its key")
	s.pair(cert, key)
	starts("ca.crt holds no certificate")
}
