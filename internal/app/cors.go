package app

import (
	"net/http"
	"time"

	"github.com/rs/cors"
)

// shared lets pages of these origins call a server from a browser: CORS.
// Without origins nothing changes. Credentials are never allowed: cookies mean
// nothing to the gateway, and an API key is a header that the page itself sends.
func shared(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{"*"}, // the attributes of an event may be headers of any name
		ExposedHeaders: []string{"Location", "Retry-After", "Allow", "Accept", "Accept-Encoding"},
		MaxAge:         int((10 * time.Minute).Seconds()),
	}).Handler(next)
}
