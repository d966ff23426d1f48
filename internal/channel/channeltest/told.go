package channeltest

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Push is what every channel says of a notification, whatever its form.
type Push struct {
	Channel      string
	Notification string
	Revision     int
	Op           string
	Title        string
	InboxOffset  int64
	// Device is the provider's name of it: a token, or a subscription's path.
	Device string
}

type toldKey struct{}

// Told returns what a request to one of the servers here carries, for those who
// answer it: its body was read to be checked.
func Told(r *http.Request) Push {
	p, _ := r.Context().Value(toldKey{}).(Push)
	return p
}

func tell(r *http.Request, p Push) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), toldKey{}, p))
}

// serve serves over TLS until the test's end, over HTTP/2 where it is wanted.
func serve(t testing.TB, h http.Handler, http2 bool) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = http2
	srv.StartTLS()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv, roots
}

// Certificate is what signs the certificates of all servers here, as PEM: a
// process finds it by the variable SSL_CERT_FILE.
func Certificate(t testing.TB) []byte {
	t.Helper()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
}

// keyText is a private key as Apple and Google hand it out.
func keyText[K *rsa.PrivateKey | *ecdsa.PrivateKey](t testing.TB, key K) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Drop ends the connection in the middle of a request, without an answer. Of
// HTTP/2 it is the stream that ends.
func Drop(w http.ResponseWriter, r *http.Request) { cut(false)(w, r) }
