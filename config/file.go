package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fileBytesMax bounds a configuration file.
const fileBytesMax = 1 << 20

// written is a value as the file has it.
type written struct {
	text   string
	list   []string // where isList
	isList bool
	origin Origin
}

// fileReader walks a file's tree, because viper's own reading gives neither
// the line of a mistake nor the key that was meant.
type fileReader struct {
	path     string
	errors   Errors
	names    []string // every key and section
	sections []string
}

// readFile returns the file's values as the nested maps that viper merges, with
// everything wrong with the file's shape.
func readFile(path string) (map[string]any, Errors) {
	r := &fileReader{path: path}
	for i := range keys {
		name := keys[i].name
		r.names = append(r.names, name)
		for at := strings.IndexByte(name, '.'); at >= 0; {
			if s := name[:at]; !slices.Contains(r.sections, s) {
				r.sections = append(r.sections, s)
			}
			next := strings.IndexByte(name[at+1:], '.')
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	r.names = append(r.names, r.sections...)
	root, err := readYAML(path)
	if err != nil {
		r.fail(lineOf(err), "", "", err.Error())
		return nil, r.errors
	}
	if root == nil {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		r.fail(root.Line, "", "", "must be a mapping of sections, such as `kafka:`")
		return nil, r.errors
	}
	return r.section("", root), r.errors
}

// readYAML returns the tree of the file's only document, or nil where the
// file is empty.
func readYAML(path string) (*yaml.Node, error) {
	f, err := os.Open(path)
	if err != nil {
		var pathError *os.PathError
		errors.As(err, &pathError)
		return nil, fmt.Errorf("cannot be read: %w; give --config the path of a YAML file", pathError.Err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("is larger than %s", Size(fileBytesMax))
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("is not YAML: %w", err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one document; remove what follows the first `---`")
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	return root, nil
}

// section reads the mapping at prefix ("" or "kafka.").
func (r *fileReader) section(prefix string, node *yaml.Node) map[string]any {
	values := map[string]any{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		at, value := node.Content[i], node.Content[i+1]
		name := prefix + at.Value
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if _, twice := values[at.Value]; twice {
			r.fail(at.Line, name, "", "is given twice; the earlier one would be lost")
			continue
		}
		switch {
		case at.Kind != yaml.ScalarNode || at.Tag == "!!merge" || strings.Contains(at.Value, "."):
			r.unknown(at, name)
		case slices.Contains(r.sections, name):
			if nested := r.nested(name, value); nested != nil {
				values[at.Value] = nested
			}
		case slices.Contains(r.names, name):
			if v, ok := r.leaf(find(name), value); ok {
				values[at.Value] = v
			}
		default:
			r.unknown(at, name)
		}
	}
	return values
}

// nested reads a section's value: a mapping, or nothing at all.
func (r *fileReader) nested(name string, value *yaml.Node) map[string]any {
	switch {
	case value.Kind == yaml.MappingNode:
		return r.section(name+".", value)
	case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
		return nil
	}
	// Merged as it is, the value would hide every default below the section.
	r.fail(value.Line, name, value.Value, "is a section: its keys go below it, indented")
	return nil
}

func (r *fileReader) unknown(at *yaml.Node, name string) {
	r.fail(at.Line, name, "", "is not a key"+didYouMean(nearest(name, r.names)))
}

// leaf reads a key's value as text, and refuses YAML types that the key's own
// type does not have: a quoted "false", a list where there is one value.
func (r *fileReader) leaf(k *key, value *yaml.Node) (written, bool) {
	field := k.field(&Config{})
	w := written{text: value.Value, origin: Origin{"file", r.path, value.Line}}
	if k.secret() {
		r.fail(value.Line, k.name, "", fmt.Sprintf("is a secret: put it in a file named by %s_file, or in the environment as %s", k.name, k.env()))
		return w, false
	}
	if value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
		r.fail(value.Line, k.name, "", "has no value; remove the line to get the default")
		return w, false
	}
	if _, list := field.(*[]string); list {
		return r.list(k, value, w)
	}
	if value.Kind != yaml.ScalarNode {
		r.fail(value.Line, k.name, "", "takes one value, a "+kind(field))
		return w, false
	}
	want := "!!str"
	switch field.(type) {
	case *bool:
		want = "!!bool"
	case *int:
		want = "!!int"
	}
	// A number for a duration or a size has its own complaint: the unit.
	if value.Tag != want && (want != "!!str" || kind(field) == "text") {
		r.fail(value.Line, k.name, value.Value, wrongType(want))
		return w, false
	}
	return w, true
}

func wrongType(want string) string {
	switch want {
	case "!!bool":
		return "must be true or false, without quotes"
	case "!!int":
		return "must be a whole number in decimal digits, without quotes"
	default:
		return "must be text; put it in quotes"
	}
}

func (r *fileReader) list(k *key, value *yaml.Node, w written) (written, bool) {
	if value.Kind != yaml.SequenceNode {
		r.fail(value.Line, k.name, value.Value, "takes a list: ["+value.Value+"]")
		return w, false
	}
	w.isList = true
	for _, element := range value.Content {
		if element.Kind != yaml.ScalarNode || element.Tag != "!!str" {
			r.fail(element.Line, k.name, element.Value, "takes a list of texts")
			return w, false
		}
		w.list = append(w.list, element.Value)
	}
	w.text = strings.Join(w.list, ",")
	return w, true
}

func (r *fileReader) fail(line int, name, value, problem string) {
	r.errors = append(r.errors, &FieldError{Key: name, Value: value, Origin: Origin{"file", r.path, line}, Problem: problem})
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// lineOf returns the line that a YAML error names, or 0.
func lineOf(err error) int {
	if found := yamlLine.FindStringSubmatch(err.Error()); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil {
			return n
		}
	}
	return 0
}
