package rules

import (
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var docsBlock = regexp.MustCompile("(?ms)^```yaml( refused)?\n(.*?)^```\n(?:```text\n(.*?)^```\n)?")

// TestDocs compiles the guide: each block is added to what stands before it,
// and the refused one is refused as the guide says.
func TestDocs(t *testing.T) {
	var file yaml.Node
	added, refused := 0, 0
	for _, m := range docsBlock.FindAllStringSubmatch(readFile(t, "../../docs/rules.md"), -1) {
		if m[1] != "" {
			refused++
			_, err := Load("rules.yaml", []byte(m[2]))
			if err == nil || err.Error()+"\n" != m[3] {
				t.Errorf("the guide says\n%sand the compiler\n%v", m[3], err)
			}
			continue
		}
		var block yaml.Node
		if err := yaml.Unmarshal([]byte(m[2]), &block); err != nil {
			t.Fatal(err)
		}
		if file.Kind == 0 {
			file = block
		} else {
			merge(file.Content[0], block.Content[0])
		}
		src, err := yaml.Marshal(&file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load("rules.yaml", src); err != nil {
			t.Errorf("with the block\n%s\n%v", m[2], err)
		}
		added++
	}
	if added < 7 || refused != 1 {
		t.Errorf("%d blocks and %d refused ones: the guide has another form", added, refused)
	}
}

// merge adds a block's sections to the file's.
func merge(into, from *yaml.Node) {
	for i := 0; i < len(from.Content); i += 2 {
		key, value := from.Content[i], from.Content[i+1]
		found := false
		for j := 0; j < len(into.Content); j += 2 {
			if into.Content[j].Value == key.Value {
				into.Content[j+1].Content = append(into.Content[j+1].Content, value.Content...)
				found = true
			}
		}
		if !found {
			into.Content = append(into.Content, key, value)
		}
	}
}

// TestDocsNameEveryFunction holds the guide's words against the compiler's.
func TestDocsNameEveryFunction(t *testing.T) {
	guide := readFile(t, "../../docs/rules.md")
	words := append([]string{"contains(", "startsWith(", "endsWith("}, "has(", "size(", "get(", "min(", "max(", "int(", "double(", "string(")
	for name := range changeFunctions {
		words = append(words, name+"(")
	}
	for name := range timeParts {
		words = append(words, name+"(")
	}
	words = append(words, channelNames...)
	for _, word := range words {
		if !strings.Contains(guide, word) {
			t.Errorf("docs/rules.md does not name %s", word)
		}
	}
}
