package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configFlag names the flag of the file itself.
const configFlag = "config"

// Flags gives cmd --config, the flags of the general keys and of the log, and
// those of the named sections. It panics on a section that does not exist.
// Secrets have no flags: a command line is visible to every user of a machine.
func Flags(cmd *cobra.Command, names ...string) {
	flags := cmd.Flags()
	flags.String(configFlag, "", "read this configuration file (env "+envName(configFlag)+")")
	for _, name := range names {
		if !slices.ContainsFunc(keys, func(k key) bool { return k.section() == name }) {
			panic("config: no section " + name)
		}
	}
	names = append([]string{"", "log"}, names...)
	for i := range keys {
		k := &keys[i]
		if !slices.Contains(names, k.section()) || k.secret() || flags.Lookup(k.flag()) != nil {
			continue
		}
		f := flags.VarPF(&flagValue{key: k, shown: "--" + k.flag()}, k.flag(), "", k.usage())
		if _, is := k.field(&Config{}).(*bool); is {
			f.NoOptDefVal = "true"
		}
	}
}

// Alias adds another name for a key's flag, which Flags must have made.
func Alias(cmd *cobra.Command, name, keyName string) {
	k := find(keyName)
	target := cmd.Flags().Lookup(k.flag()).Value.(*flagValue)
	cmd.Flags().Var(&aliasValue{target, name}, name, fmt.Sprintf("the same as --%s", k.flag()))
}

func (k *key) usage() string {
	text := strings.ReplaceAll(k.sentence, "`", "") // what is in back-ticks would be shown as the value's type
	if k.fallback != "" {
		text += fmt.Sprintf(" (default %s)", k.fallback)
	}
	return text
}

// flagValue is the text given to a flag. It has no default of its own, and it
// checks nothing: Load reports all errors at once.
type flagValue struct {
	key   *key
	text  string
	given bool
	shown string // the flag as it was typed
}

func (f *flagValue) Set(text string) error {
	if _, list := f.key.field(&Config{}).(*[]string); list && f.given {
		text = f.text + "," + text
	}
	f.text, f.given = text, true
	return nil
}

func (f *flagValue) String() string { return f.text }

func (f *flagValue) Type() string {
	if f.key == nil {
		return ""
	}
	return kind(f.key.field(&Config{}))
}

// HasChanged, Name, ValueString and ValueType make it a viper.FlagValue. The
// type is always "string", or viper would convert the text by its own rules.
func (f *flagValue) HasChanged() bool    { return f.given }
func (f *flagValue) Name() string        { return f.shown }
func (f *flagValue) ValueString() string { return f.text }
func (f *flagValue) ValueType() string   { return "string" }

// aliasValue hands its text to another flag.
type aliasValue struct {
	target *flagValue
	name   string
}

func (a *aliasValue) Set(text string) error {
	a.target.shown = "--" + a.name
	return a.target.Set(text)
}

func (a *aliasValue) String() string { return "" }

func (a *aliasValue) Type() string {
	if a.target == nil {
		return ""
	}
	return a.target.Type()
}

// flagOf returns the key's flag in flags, or nil.
func flagOf(flags *pflag.FlagSet, k *key) *flagValue {
	if flags == nil {
		return nil
	}
	f := flags.Lookup(k.flag())
	if f == nil {
		return nil
	}
	v, _ := f.Value.(*flagValue)
	return v
}

// find returns a key's declaration; it panics where there is none.
func find(name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	panic("config: no key " + name)
}
