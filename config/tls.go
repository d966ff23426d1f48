package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Build reads the files and returns the client's TLS settings, or nil where
// TLS is off. Errors name the file; exit code 78 goes with them.
func (t TLS) Build() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	built := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fileError("read the authorities", err)
		}
		built.RootCAs = x509.NewCertPool()
		if !built.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fileError("read the authorities", fmt.Errorf("%s holds no PEM certificate", t.CAFile))
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fileError("read the client certificate "+t.CertFile, err)
		}
		built.Certificates = []tls.Certificate{pair}
	}
	return built, nil
}

func fileError(what string, err error) error {
	return Errors{{Origin: Origin{Kind: "tls"}, Problem: what + ": " + err.Error()}}
}
