package main_test

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

var probes = regexp.MustCompile(`"msg":"starting","metrics":"([^"]+)"`)

// TestGatewayOverTLS: with a certificate the gateway speaks TLS and nothing
// else, tells when it expires, and asks clients for one where it is to. Files
// that cannot be used are a mistake in the configuration.
func TestGatewayOverTLS(t *testing.T) {
	s := newSite(t)
	lender := httptest.NewTLSServer(http.NotFoundHandler()) // it has a certificate for loopback
	t.Cleanup(lender.Close)
	pair := lender.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile := s.file("tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	keyFile := s.file("tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	env := []string{"VELTRIX_PRODUCER_TLS_CERT_FILE=" + certFile, "VELTRIX_PRODUCER_TLS_KEY_FILE=" + keyFile}

	_, plain, out := s.with(env...).gateway()
	resp, err := lender.Client().Post(strings.Replace(plain, "http", "https", 1)+"/v1/events", "application/cloudevents+json", strings.NewReader(event("1", 50)))
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%v %v\n%s", resp, err, out)
	}
	_ = resp.Body.Close()
	if code, body := get(plain + "/"); code != http.StatusBadRequest || !strings.Contains(body, "HTTPS") {
		t.Errorf("without TLS: %d %s", code, body)
	}
	if at := probes.FindStringSubmatch(out.String()); at == nil {
		t.Errorf("it does not say where its metrics are:\n%s", out)
	} else if _, body := get("http://" + at[1] + "/metrics"); !strings.Contains(body, `veltrix_http_certificate_not_after_timestamp_seconds{server="gateway"} 3.6`) {
		t.Error("the metrics do not say when the certificate expires")
	}

	_, mutual, out := s.with(append(env, "VELTRIX_PRODUCER_TLS_CLIENT_CA_FILE="+certFile)...).gateway()
	if resp, err := lender.Client().Get(strings.Replace(mutual, "http", "https", 1)); err == nil {
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		t.Errorf("a client without a certificate got %s: %s\n%s", resp.Status, text, out)
	}

	for _, c := range []struct{ cert, key, want string }{
		{certFile, s.rules, "producer.tls: " + certFile + " and " + s.rules + " are not a certificate and its key"},
		{certFile + ".gone", keyFile, "tls.crt.gone: no such file"},
		{certFile, "", "producer.tls.key_file is empty, and producer.tls.cert_file needs its key"},
	} {
		text, code := s.run("", []string{"VELTRIX_PRODUCER_TLS_CERT_FILE=" + c.cert, "VELTRIX_PRODUCER_TLS_KEY_FILE=" + c.key})
		if code != 78 || !strings.Contains(text, c.want) {
			t.Errorf("exit code %d, want 78 with %q; it wrote:\n%s", code, c.want, text)
		}
	}
}
