package ui

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// toYAML turns JSON into YAML, so that the JSON tags alone name the fields and
// their order is kept.
func toYAML(text string) (string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(escapeForYAML(text)), &doc); err != nil {
		return "", err
	}
	toBlocks(&doc)
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return "", err
	}
	return b.String(), enc.Close()
}

// toBlocks drops the braces and quotes; strings that need quotes keep them.
func toBlocks(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		toBlocks(child)
	}
}

// escapeForYAML escapes what JSON allows inside strings and YAML does not.
func escapeForYAML(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r != '\n' && unsafeRune(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
