package service

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certsLook is how often the files of a TLS listener are looked at.
const certsLook = 500 * time.Millisecond

// Certificates name the PEM files by which a listener speaks TLS.
type Certificates struct {
	CertFile, KeyFile string
	// ClientCAFile holds the authorities by one of which a client must be
	// certified; empty: no client has to say who it is.
	ClientCAFile string
	// InForce is told until when the certificate in force holds, at the start
	// and at each change.
	InForce func(notAfter time.Time)
	Logger  *slog.Logger
}

// certified is a TLS listener that follows its files.
type certified struct {
	net.Listener
	files   Certificates
	seen    seen
	config  atomic.Pointer[tls.Config]
	close   func() // ends the following
	stopped sync.WaitGroup
}

// seen is what a look found. The files are compared whole: they are small, and
// a renewed one may have the old one's time and size.
type seen struct{ cert, key, authorities, failure string }

// TLS has a listener speak TLS, 1.2 at least, HTTP/2 where the client likes. It
// follows the files until it is closed: what they hold is for the connections
// that come after the change, and what cannot be used changes nothing, is
// logged once, and takes effect when it is corrected. At the start it is an
// error.
func TLS(plain net.Listener, files Certificates) (net.Listener, error) {
	c := &certified{files: files}
	if err := c.look(); err != nil {
		return nil, err
	}
	c.Listener = tls.NewListener(plain, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.config.Load(), nil },
	})
	done := make(chan struct{})
	c.close = sync.OnceFunc(func() { close(done) })
	c.stopped.Go(func() { c.follow(done) })
	return c, nil
}

// Close implements net.Listener. Connections that are open stay so.
func (c *certified) Close() error {
	c.close()
	c.stopped.Wait()
	return c.Listener.Close()
}

func (c *certified) follow(done <-chan struct{}) {
	tick := time.NewTicker(certsLook)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if err := c.look(); err != nil {
				c.files.Logger.Error("the certificate stays as it was", "error", err)
			}
		}
	}
}

// look takes up what the files hold, if that is new.
func (c *certified) look() error {
	now := c.files.read()
	if now == c.seen {
		return nil
	}
	c.seen = now
	if now.failure != "" {
		return errors.New(now.failure)
	}
	built, leaf, err := c.files.build(now)
	if err != nil {
		return err
	}
	c.config.Store(built)
	c.files.InForce(leaf.NotAfter)
	c.files.Logger.Info("certificate in force", "file", c.files.CertFile, "names", leaf.DNSNames,
		"not_after", leaf.NotAfter.UTC(), "client_certificates", c.files.ClientCAFile != "")
	return nil
}

func (f *Certificates) read() (now seen) {
	for _, one := range []struct {
		path string
		text *string
	}{{f.CertFile, &now.cert}, {f.KeyFile, &now.key}, {f.ClientCAFile, &now.authorities}} {
		if one.path == "" {
			continue
		}
		text, err := os.ReadFile(one.path)
		if err != nil {
			now.failure = err.Error()
		}
		*one.text = string(text)
	}
	return now
}

func (f *Certificates) build(from seen) (*tls.Config, *x509.Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(from.cert), []byte(from.key))
	if err != nil {
		return nil, nil, fmt.Errorf("%s and %s are not a certificate and its key, in PEM: %w", f.CertFile, f.KeyFile, err)
	}
	built := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		NextProtos: []string{"h2", "http/1.1"}, // the server's own offer does not reach this one
	}
	if f.ClientCAFile != "" {
		built.ClientAuth, built.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !built.ClientCAs.AppendCertsFromPEM([]byte(from.authorities)) {
			return nil, nil, fmt.Errorf("%s holds no certificate in PEM", f.ClientCAFile)
		}
	}
	return built, pair.Leaf, nil
}
