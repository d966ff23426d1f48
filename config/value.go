package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. It is written with a unit: 512KiB, 64MiB, 1GiB.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes Size
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String writes the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s%u.bytes == 0 && s != 0 {
			return fmt.Sprintf("%d%s", int64(s/u.bytes), u.name)
		}
	}
	return "0B"
}

func parseSize(text string) (Size, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok || !isDecimal(digits) {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > math.MaxInt64/int64(u.bytes) {
			return 0, errors.New("is too large for a size")
		}
		return Size(n) * u.bytes, nil
	}
	if isDecimal(text) {
		return 0, fmt.Errorf("needs a unit: %sB, %sKiB, %sMiB or %sGiB", text, text, text, text)
	}
	return 0, errors.New("must be a size such as 64MiB (units: B, KiB, MiB, GiB, TiB)")
}

// Secret is a value that shows itself to nobody but the caller of Reveal.
type Secret struct{ value string }

// NewSecret returns a secret that was not read from the configuration.
func NewSecret(value string) Secret { return Secret{value} }

const redacted = "redacted"

// Reveal returns the secret. Never print or log the result.
func (s Secret) Reveal() string { return s.value }

// Set reports whether there is one.
func (s Secret) Set() bool { return s.value != "" }

// String returns "redacted", or nothing where there is no secret.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return redacted
}

// Format keeps the secret out of every verb, %#v too.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText keeps the secret out of JSON and of every other encoding.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue keeps the secret out of the log.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// parse turns written text into the value of the field's type. The field is
// a pointer into a Config.
func parse(field any, text string) (any, error) {
	switch field.(type) {
	case *string:
		return text, nil
	case *Secret:
		return Secret{text}, nil
	case *bool:
		switch text {
		case "true", "false":
			return text == "true", nil
		}
		return nil, errors.New("must be true or false")
	case *int:
		if !isDecimal(strings.TrimPrefix(text, "-")) {
			return nil, errors.New("must be a whole number in decimal digits")
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, errors.New("is too large for a number")
		}
		return n, nil
	case *time.Duration:
		return parseDuration(text)
	case *Size:
		return parseSize(text)
	case *[]string:
		return parseList(text)
	}
	panic(fmt.Sprintf("config: no parser for a field of type %T", field))
}

func parseDuration(text string) (time.Duration, error) {
	if isDecimal(strings.TrimPrefix(text, "-")) {
		return 0, fmt.Errorf("needs a unit: %sms, %ss, %sm or %sh", text, text, text, text)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("must be a duration such as 500ms, 20s, 5m or 24h")
	}
	return d, nil
}

// parseList splits a list as it is written in a flag or a variable.
func parseList(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	if slices.Contains(list, "") {
		return nil, errors.New("has an empty element")
	}
	return list, nil
}

// isDecimal reports whether text is digits only and names the same number in
// every base that YAML readers know: no 0x10, no 010.
func isDecimal(text string) bool {
	if text == "" || len(text) > 1 && text[0] == '0' {
		return false
	}
	return strings.Trim(text, "0123456789") == ""
}

// assign stores a parsed value.
func assign(field, value any) {
	switch f := field.(type) {
	case *string:
		*f = value.(string)
	case *Secret:
		*f = value.(Secret)
	case *bool:
		*f = value.(bool)
	case *int:
		*f = value.(int)
	case *time.Duration:
		*f = value.(time.Duration)
	case *Size:
		*f = value.(Size)
	case *[]string:
		*f = value.([]string)
	}
}

// kind names a field's type, with its unit, for the reference and for --help.
func kind(field any) string {
	switch field.(type) {
	case *string:
		return "text"
	case *Secret:
		return "secret"
	case *bool:
		return "true|false"
	case *int:
		return "number"
	case *time.Duration:
		return "duration"
	case *Size:
		return "size"
	default:
		return "list"
	}
}

// writeDuration writes d as the file would have it: 20s, not 20s0ms; 24h, not
// 24h0m0s.
func writeDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
