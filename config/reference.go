package config

import (
	"fmt"
	"strings"
)

// Example returns a file with every key at its default, with its sentence.
func Example() string {
	return Default().render(func(*key) string { return "" }, func(k *key) []string {
		return []string{k.sentence}
	})
}

const referenceHead = `# Configuration

<!-- Generated from the declarations in config/table.go: go test ./config -rewrite -->

A value comes from the first of these that gives one:

1. a flag, such as ` + "`--kafka-brokers`" + `;
2. an environment variable, such as ` + "`VELTRIX_KAFKA_BROKERS`" + `;
3. the file named by ` + "`--config`" + ` or ` + "`VELTRIX_CONFIG`" + `, in YAML;
4. the default.

` + "`veltrix config show --origin`" + ` prints what is in force and where each value comes from. ` + "`veltrix config check`" + ` says what is wrong.

- An unknown key in the file is an error that names the line and the nearest key. So is a variable that is nearly one of these; any other
  ` + "`VELTRIX_`" + ` variable is remarked on and ignored.
- A duration needs a unit: ` + "`20ms`, `5s`, `24h`" + `. So does a size: ` + "`512KiB`, `64MiB`, `1GiB`" + `. A bare number is an error, because nobody can
  tell 5 seconds from 5 nanoseconds.
- A list is ` + "`[a, b]`" + ` in the file and ` + "`a,b`" + ` in a variable or a flag; a flag may be repeated. A list replaces the one below it, they do not add up.
- A variable that is set to nothing is an error, except where nothing is a value.
- A secret is never in the file and never a flag: give the path of a file that holds it, or the variable. It is printed as ` + "`redacted`" + `.
- All errors are reported at once, and the exit code is 78.
- ` + "`veltrix config diff A B`" + ` compares two files, defaults filled in, and says which changes need a restart.

## Taking changes over while a service runs
On SIGHUP, ` + "`producer`, `processor` and `notifier`" + ` read the file again and check all of it. The keys with ↻ take effect at once, all of them
together; for every other one that changed the log says ` + "`restart required`" + `. Where anything is wrong, the log says what, and nothing changes.
` + "`veltrix_config_reloads_total{result}`" + ` counts both. Keys of the gateway, certificates and players' token keys that stand in files of their own
are followed without a signal.

`

// Reference returns the reference page.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, section := range sections {
		fmt.Fprintf(&b, "## %s\n\n| key | what it is | type | must be | default | variable |\n| --- | --- | --- | --- | --- | --- |\n", section.title)
		for i := range keys {
			k := &keys[i]
			if k.section() != section.name {
				continue
			}
			place := "`" + k.name + "`"
			if k.secret() {
				place += " (variable only)"
			}
			if k.live {
				place += " ↻"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | `%s` |\n", place, k.sentence,
				strings.ReplaceAll(kind(k.field(&Config{})), "|", " or "), k.bound.text, code(k.fallback), k.env())
		}
		b.WriteString("\n")
	}
	b.WriteString("A key's flag is its name with dashes: `processor.commit_interval` is `--processor-commit-interval`.\n\n")
	b.WriteString("## Every key at its default\n\n```yaml\n" + Example() + "```\n")
	return b.String()
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
