package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Default returns the configuration of a machine where nobody said anything.
func Default() *Config {
	c, err := load(nil, "", false)
	if err != nil {
		panic("config: the defaults break their own bounds: " + err.Error())
	}
	return c
}

// Load merges flags, environment, the file named by --config or
// VELTRIX_CONFIG, and defaults, and checks the result. The flags are those
// that Flags gave a command, or nil. The error is an Errors with everything
// that is wrong.
func Load(flags *pflag.FlagSet) (*Config, error) {
	path := os.Getenv(envName(configFlag))
	if flags != nil {
		if f := flags.Lookup(configFlag); f != nil && f.Changed {
			path = f.Value.String()
		}
	}
	again := func() (*Config, error) { return load(flags, path, true) }
	c, err := again()
	if err != nil {
		return nil, err
	}
	c.again = again
	return c, nil
}

// LoadFile reads a file on top of the defaults and looks at nothing else.
func LoadFile(path string) (*Config, error) { return load(nil, path, false) }

func load(flags *pflag.FlagSet, path string, environment bool) (*Config, error) {
	c := &Config{origins: map[string]Origin{}}
	v := viper.New()
	// A variable that is set to nothing is a mistake or a wish, never unset.
	v.AllowEmptyEnv(true)
	var all Errors
	if path != "" {
		values, problems := readFile(path)
		all = append(all, problems...)
		if err := v.MergeConfigMap(values); err != nil {
			return nil, fmt.Errorf("merge %s: %w", path, err)
		}
	}
	for i := range keys {
		k := &keys[i]
		v.SetDefault(k.name, written{text: k.fallback, origin: Origin{Kind: "default"}})
		if environment {
			// Bound one by one: AutomaticEnv misses keys without a default.
			if err := v.BindEnv(k.name, k.env()); err != nil {
				return nil, fmt.Errorf("bind %s: %w", k.env(), err)
			}
		}
		if f := flagOf(flags, k); f != nil {
			if err := v.BindFlagValue(k.name, f); err != nil {
				return nil, fmt.Errorf("bind --%s: %w", k.flag(), err)
			}
		}
	}
	if environment {
		all = append(all, c.unknownVariables(os.Environ())...)
	}
	for i := range keys {
		if problem := c.take(&keys[i], v, flags); problem != nil {
			all = append(all, problem)
		}
	}
	all = append(all, c.readSecrets()...)
	if len(all) == 0 {
		all = c.checkTogether()
	}
	if len(all) > 0 {
		return nil, all
	}
	return c, nil
}

// take stores the value that viper found for k.
func (c *Config) take(k *key, v *viper.Viper, flags *pflag.FlagSet) *FieldError {
	var w written
	switch found := v.Get(k.name).(type) {
	case written:
		w = found
	case string: // from a flag or the environment; flags come first
		w.text, w.origin = found, Origin{Kind: "env", Name: k.env()}
		if f := flagOf(flags, k); f != nil && f.HasChanged() {
			w.origin = Origin{Kind: "flag", Name: f.Name()}
		}
	default:
		panic(fmt.Sprintf("config: viper gave %T for %s", found, k.name))
	}
	return c.store(k, w)
}

// store parses, bounds and keeps a value.
func (c *Config) store(k *key, w written) *FieldError {
	if k.secret() && w.text == "" && w.origin.Kind == "default" {
		return nil
	}
	shown := w.text
	if k.secret() {
		shown = ""
	}
	wrong := func(problem string) *FieldError {
		return &FieldError{Key: k.name, Value: shown, Origin: w.origin, Problem: problem}
	}
	if w.text == "" && !w.isList && !k.bound.empty && w.origin.Kind != "default" {
		return wrong("is empty; unset it, or give a value: " + k.wanted())
	}
	field := k.field(c)
	var value any = w.list
	if !w.isList {
		var err error
		if value, err = parse(field, w.text); err != nil {
			return wrong(err.Error())
		}
	}
	if k.bound.holds != nil && !k.bound.holds(value) {
		return wrong("must be " + k.bound.text)
	}
	assign(field, value)
	if w.origin.Kind != "default" {
		c.origins[k.name] = w.origin
	}
	return nil
}

// wanted describes a value in a few words.
func (k *key) wanted() string {
	if k.bound.text != "" {
		return k.bound.text
	}
	return kind(k.field(&Config{}))
}

// Override stores a value that the command itself decided, such as the address
// of the embedded broker, and notes by whom.
func (c *Config) Override(name, text, by string) error {
	if problem := c.store(find(name), written{text: text, origin: Origin{Kind: by}}); problem != nil {
		return Errors{problem}
	}
	return nil
}

// fromOrchestrator matches the variables that Kubernetes sets for a service
// that happens to be called veltrix-something.
var fromOrchestrator = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// unknownVariables refuses a variable that is nearly one of ours: a mistyped
// name silently leaves the default in place. Any other VELTRIX_ variable is
// remarked on, since it may be another program's.
func (c *Config) unknownVariables(environ []string) Errors {
	names := []string{envName(configFlag)}
	for i := range keys {
		names = append(names, keys[i].env())
	}
	var found Errors
	slices.Sort(environ)
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "VELTRIX_") || slices.Contains(names, name) || fromOrchestrator.MatchString(name) {
			continue
		}
		near := nearest(name, names)
		if near != "" && distance(name, near) <= 2 {
			found = append(found, &FieldError{Origin: Origin{Kind: "env", Name: name}, Problem: "is not a variable of Veltrix" + didYouMean(near)})
			continue
		}
		c.warnings = append(c.warnings, fmt.Sprintf("environment variable %s is not one of Veltrix and is ignored%s", name, didYouMean(near)))
	}
	return found
}

// readSecrets fills each secret from its file.
func (c *Config) readSecrets() Errors {
	var all Errors
	for i := range keys {
		k := &keys[i]
		if !k.secret() {
			continue
		}
		fileKey := find(k.name + "_file")
		path := *fileKey.field(c).(*string)
		if path == "" {
			continue
		}
		wrong := func(problem string) {
			all = append(all, &FieldError{Key: fileKey.name, Value: path, Origin: c.Origin(fileKey.name), Problem: problem})
		}
		if k.field(c).(*Secret).Set() {
			wrong("and " + k.env() + " are both set; keep one")
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			var pathError *os.PathError
			errors.As(err, &pathError)
			wrong("cannot be read: " + pathError.Err.Error())
			continue
		}
		value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
		if problem := c.store(k, written{text: value, origin: c.Origin(fileKey.name)}); problem != nil {
			wrong("holds a secret that " + strings.Replace(problem.Problem, "is empty; unset it, or give a value:", "is empty; it must be", 1))
		}
	}
	return all
}
