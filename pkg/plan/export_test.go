package plan

// Forms and Kinds are the tables of Parse, for the schema.
var (
	Forms = forms
	Kinds = kinds
)
