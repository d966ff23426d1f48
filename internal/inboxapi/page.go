package inboxapi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// pageFiles are the web page, its service worker, and what they need.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load and wear what it came with, and nothing else: a
// text that became an element by mistake would be dead.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; worker-src 'self'; manifest-src 'self'; " +
	"connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageTypes are the types of the page's files, which differ between systems' own
// tables.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".webmanifest": "application/manifest+json",
}

// workerName is the service worker's file. Its text holds the version of all
// files: a browser takes a changed worker for a new one, and fetches them anew.
const workerName = "worker.js"

// pages serves the page's files: /inbox, and the rest below it. They hold no
// data: the token stays in the URL's fragment, which a browser never sends.
func pages(mux *http.ServeMux) {
	entries, err := pageFiles.ReadDir("page")
	if err != nil {
		panic(err) // it is embedded
	}
	files, sum := map[string][]byte{}, sha256.New()
	for _, e := range entries {
		text, err := fs.ReadFile(pageFiles, "page/"+e.Name())
		if err != nil {
			panic(err)
		}
		files[e.Name()] = text
		sum.Write(text)
	}
	version := base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12])
	files[workerName] = bytes.ReplaceAll(files[workerName], []byte("VERSION"), []byte(version))
	for name, text := range files {
		pattern := "GET /inbox/" + name
		if name == "inbox.html" {
			pattern = "GET /inbox"
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Type", pageTypes[path.Ext(name)])
			h.Set("Content-Security-Policy", pagePolicy)
			h.Set("Cache-Control", "no-cache") // kept, but never used without asking
			h.Set("ETag", `"`+version+`"`)
			if name == workerName {
				h.Set("Service-Worker-Allowed", "/inbox") // the page is not below the worker's own path
			}
			http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
		})
	}
}
