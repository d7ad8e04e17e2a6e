package ui

// ACL is what a user may have to do to run a command.
type ACL struct {
	Schema      int      `json:"schema"`
	Command     string   `json:"command"`
	For         string   `json:"for"`
	Permissions []string `json:"permissions"`
	Optional    []string `json:"optional"`
	Rule        string   `json:"rule"`             // what ACL SETUSER takes
	More        string   `json:"optional_rule"`    // likewise
	Target      string   `json:"target,omitempty"` // of the user whom MIGRATE presents, at the target
}

// Text writes commands that can be pasted, and what they are for.
func (v ACL) Text(p *Page) {
	p.Line("# a user for trib %s, on every node", v.For)
	p.Line("ACL SETUSER trib reset on >PASSWORD %s", v.Rule)
	p.Line("# it works without these, and knows less or stops in rare cases")
	p.Line("ACL SETUSER trib %s", v.More)
	if v.Target != "" {
		p.Line("# of these, MIGRATE takes at the node that gets the keys, with the same user")
		p.Line("#   %s", v.Target)
	}
}
