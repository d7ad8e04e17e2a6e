package ui

import (
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// fromYAML reads YAML by the JSON tags.
func fromYAML(text string, into any) error {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
