package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// digest names the document: a hash over its structure, its types and its
// values, in order. Comments, indentation, quoting and line breaks do not
// change it. The encoding is our own, so that no other version of the YAML
// library can change it either.
func digest(n *yaml.Node) string {
	sum := sha256.Sum256(canonical(nil, n))
	return hex.EncodeToString(sum[:])
}

// canonical appends "<letter><length>:" and what the letter stands for.
func canonical(b []byte, n *yaml.Node) []byte {
	switch n.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		letter := byte('l')
		if n.Kind == yaml.MappingNode {
			letter = 'm'
		}
		b = append(strconv.AppendInt(append(b, letter), int64(len(n.Content)), 10), ':')
		for _, child := range n.Content {
			b = canonical(b, child)
		}
		return b
	case yaml.ScalarNode:
		text := n.ShortTag() + " " + n.Value
		b = append(strconv.AppendInt(append(b, 's'), int64(len(text)), 10), ':')
		return append(b, text...)
	}
	return b
}
