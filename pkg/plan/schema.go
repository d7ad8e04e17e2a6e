package plan

import _ "embed" // for the schema

//go:embed schema.json
var schema string

// Schema is the JSON schema of a saved plan.
func Schema() string { return schema }
