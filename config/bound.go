package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bound says what a value must be. Its text completes "must be …" and "empty"
// tells whether the empty text or list is one of the values.
type bound struct {
	text  string
	empty bool
	holds func(value any) bool // nil: all values of the type
}

var (
	noBound      = bound{}
	prefixText   = matching(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, "1 to 64 letters, digits, dots, dashes or underscores, beginning with a letter or digit", false)
	instanceText = matching(`^[A-Za-z0-9._-]{1,64}$`, "1 to 64 letters, digits, dots, dashes or underscores, or empty", true)
	shortText    = textBound("at most 256 bytes", func(s string) bool { return len(s) <= 256 })
	filePath     = textBound("a file's path", func(s string) bool { return s == "" || filepath.Clean(s) != "." && !strings.ContainsRune(s, 0) })
	secretText   = secretBound(1, 4096)
	credentials  = secretBound(1, 16<<10) // a key with what belongs to it, as JSON
	appleID      = matching(`^[A-Z0-9]{10}$`, "10 capital letters or digits", true)
	bundleID     = matching(`^[A-Za-z0-9][A-Za-z0-9.-]{0,254}$`, "a bundle ID such as com.example.app", true)
	keyText      = secretBound(32, 4096)
	listenAddr   = matchingFunc("host:port or :port; port 0 takes a free one", func(s string) bool { return isHostPort(s, true) })
	hostPorts    = listBound("host:port", 64, false, func(s string) bool { return isHostPort(s, false) })
	redisAddrs   = listBound("host:port or unix:///path", 64, false, isRedisAddr)
	cidrs        = listBound("networks such as 10.0.0.0/8", 256, true, func(s string) bool { _, err := netip.ParsePrefix(s); return err == nil })
	origins      = listBound("origins such as https://play.example, or *", 256, true, isOrigin)
	httpURL      = textBound("an http or https URL", isHTTPURL)
	baseURL      = textBound("an http or https URL without a query", func(s string) bool { return isHTTPURL(s) && !strings.ContainsAny(s, "?#") })
	providerURL  = textBound("an https URL without a query", isProviderURL)
	contact      = textBound("a mail address or an https URL", isContact)
	vapidKey     = secretBound(43, 44) // 32 bytes in base64url, with or without padding
)

func ints(low, high int) bound {
	return bound{text: fmt.Sprintf("%d to %d", low, high), holds: func(v any) bool { n := v.(int); return low <= n && n <= high }}
}

func spans(low, high time.Duration) bound {
	return bound{text: writeDuration(low) + " to " + writeDuration(high), holds: func(v any) bool {
		d := v.(time.Duration)
		return low <= d && d <= high
	}}
}

func sizes(low, high Size) bound {
	return bound{text: low.String() + " to " + high.String(), holds: func(v any) bool { n := v.(Size); return low <= n && n <= high }}
}

func oneOf(names ...string) bound {
	return bound{text: strings.Join(names, ", "), holds: func(v any) bool { return slices.Contains(names, v.(string)) }}
}

func matching(pattern, text string, empty bool) bound {
	re := regexp.MustCompile(pattern)
	return bound{text: text, empty: empty, holds: func(v any) bool { s := v.(string); return empty && s == "" || re.MatchString(s) }}
}

func matchingFunc(text string, holds func(string) bool) bound {
	return bound{text: text, holds: func(v any) bool { return holds(v.(string)) }}
}

func textBound(text string, holds func(string) bool) bound {
	b := matchingFunc(text, holds)
	b.empty = true
	return b
}

// secretBound bounds a secret's length in bytes. The check sees no more than
// the length, so that a complaint cannot show the value.
func secretBound(low, high int) bound {
	return bound{text: fmt.Sprintf("%d to %d bytes", low, high), holds: func(v any) bool {
		n := len(v.(Secret).value)
		return low <= n && n <= high
	}}
}

func listBound(each string, most int, empty bool, holds func(string) bool) bound {
	text := fmt.Sprintf("1 to %d of: %s", most, each)
	if empty {
		text = fmt.Sprintf("at most %d of: %s", most, each)
	}
	return bound{text: text, empty: empty, holds: func(v any) bool {
		list := v.([]string)
		if len(list) == 0 {
			return empty
		}
		return len(list) <= most && !slices.ContainsFunc(list, func(s string) bool { return !holds(s) })
	}}
}

func isHostPort(s string, listening bool) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, " /") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && (listening || host != "" && n > 0)
}

func isRedisAddr(s string) bool {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		return filepath.IsAbs(path)
	}
	return isHostPort(s, false)
}

func isHTTPURL(s string) bool {
	if s == "" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// isProviderURL says whether s can stand before a provider's paths. What goes
// there has bearers in its headers, so it is never plain http.
func isProviderURL(s string) bool {
	return s == "" || strings.HasPrefix(s, "https://") && isHTTPURL(s) && !strings.ContainsAny(s, "?#")
}

// isContact says whether push services would take s as a contact.
func isContact(s string) bool {
	if strings.HasPrefix(s, "https://") {
		return isHTTPURL(s)
	}
	if s == "" {
		return true
	}
	a, err := mail.ParseAddress(strings.TrimPrefix(s, "mailto:"))
	return err == nil && a.Name == "" && !strings.ContainsAny(s, "<> ")
}

// isOrigin says whether s is an origin as browsers send it: without a path, and
// in lower case. Another would never match.
func isOrigin(s string) bool {
	if s == "*" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && isHTTPURL(s) && s == strings.ToLower(u.Scheme+"://"+u.Host) && !strings.Contains(s, "*")
}
