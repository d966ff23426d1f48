package service

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	if _, err := Listen(t.Context(), log, "metrics", address, true); err == nil || !strings.Contains(err.Error(), "listen for metrics") || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("a chosen address that is taken: %v", err)
	}
	free, err := Listen(t.Context(), log, "metrics", address, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	if !strings.HasPrefix(free.Addr().String(), "127.0.0.1:") || !strings.Contains(out.String(), free.Addr().String()) {
		t.Errorf("listens on %s, and says: %s", free.Addr(), out.String())
	}
	if _, err := Listen(t.Context(), log, "metrics", "256.0.0.1:80", false); err == nil {
		t.Error("only a taken address has a stand-in")
	}
}

// What was accepted is answered although the server drains; a stream is told.
func TestHTTPDrains(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	arrived := make(chan struct{}, 2)
	mux := http.NewServeMux()
	mux.HandleFunc("/accept", func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-Draining(r.Context())
		time.Sleep(50 * time.Millisecond)
		if r.Context().Err() == nil {
			_, _ = io.WriteString(w, "finished")
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, 10*time.Second, HTTP("gateway", listener, mux, 5*time.Second)) }()
	answers := make(chan string, 2)
	for range 2 {
		go func() { answers <- get("http://" + listener.Addr().String() + "/accept") }()
	}
	<-arrived
	<-arrived
	cancel()
	for range 2 {
		if got := <-answers; got != "finished" {
			t.Errorf("a request in flight got %q", got)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := get("http://" + listener.Addr().String() + "/accept"); !strings.Contains(got, "refused") {
		t.Errorf("after the stop: %q", got)
	}
}

func TestHTTPCutsOff(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	arrived := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	go get("http://" + listener.Addr().String())
	go func() {
		<-arrived
		cancel()
	}()
	err = Run(ctx, 10*time.Second, HTTP("inbox", listener, handler, 50*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "inbox: requests were cut off") {
		t.Errorf("got %v", err)
	}
}

func get(url string) string {
	response, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}
