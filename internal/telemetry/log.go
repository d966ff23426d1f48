package telemetry

import (
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const redacted = "redacted"

// secretNames are the attribute names whose value is never written, alone or
// behind an underscore (`redis_password`).
var secretNames = []string{"password", "passwd", "secret", "token", "authorization", "cookie", "credential", "credentials", "api_key", "apikey", "bearer", "private_key"}

// secretParameters finds what must not be shown inside of a text: the value of
// a query parameter, and an Authorization header's.
var secretParameters = regexp.MustCompile(`(?i)((?:access_token|api_key|password|secret|token)=|bearer\s+)[^&\s"']+`)

// userInfo finds the account in front of a URL's host.
var userInfo = regexp.MustCompile(`(://[^/\s:@]*):[^/\s@]+@`)

// Level is the level of a name: debug, info, warn or error.
func Level(name string) slog.Level {
	var least slog.Level
	if err := least.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // the configuration has checked it
	}
	return least
}

// NewLogger returns a logger that writes JSON lines, or text, to w, from a level on
// that may change. Times are UTC. Values with a secret's name, and secrets inside of
// URLs, are redacted.
func NewLogger(w io.Writer, least slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: least, ReplaceAttr: replace}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.Time(slog.TimeKey, a.Value.Time().UTC())
	}
	if isSecretName(a.Key) {
		return slog.String(a.Key, redacted)
	}
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, Redact(v.String()))
	case slog.KindAny:
		switch x := v.Any().(type) {
		case *url.URL:
			return slog.String(a.Key, Redact(x.String()))
		case error:
			return slog.String(a.Key, Redact(x.Error()))
		}
	}
	return a
}

func isSecretName(key string) bool {
	key = strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	return slices.ContainsFunc(secretNames, func(name string) bool {
		return key == name || strings.HasSuffix(key, "_"+name)
	})
}

// Redact returns text without the secrets that are known to hide in it:
// passwords in URLs, tokens in query strings and in Authorization headers.
func Redact(text string) string {
	if strings.Contains(text, "://") {
		text = userInfo.ReplaceAllString(text, "${1}:"+redacted+"@")
	}
	if strings.Contains(text, "=") || strings.Contains(text, "earer") {
		text = secretParameters.ReplaceAllString(text, "${1}"+redacted)
	}
	return text
}
