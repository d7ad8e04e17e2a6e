package ui

// ACL is what a user may have to do to run a command.
type ACL struct {
	Schema  int    `json:"schema"`
	Command string `json:"command"`
	For     string `json:"for"`
	Grant
	Target string    `json:"target,omitempty"` // of the user whom MIGRATE presents, at the target
	Cases  []ACLCase `json:"cases,omitempty"`  // what some cases take besides
	Source *Grant    `json:"source,omitempty"` // at the server that an import takes keys from
}

// Grant is what one user may have to do.
type Grant struct {
	Permissions []string `json:"permissions"`
	Optional    []string `json:"optional"`
	Rule        string   `json:"rule"`          // what ACL SETUSER takes
	More        string   `json:"optional_rule"` // likewise
}

// ACLCase is what is needed in one case only.
type ACLCase struct {
	Case        string   `json:"case"` // for people
	Source      bool     `json:"source,omitempty"`
	Permissions []string `json:"permissions"`
	Rule        string   `json:"rule"`
}

// Text writes commands that can be pasted, and what they are for.
func (v ACL) Text(p *Page) {
	v.Grant.text(p, "a user for trib "+v.For+", on every node")
	if v.Target != "" {
		p.Line("# of these, MIGRATE takes at the node that gets the keys, with the same user")
		p.Line("#   %s", v.Target)
	}
	v.cases(p, false)
	if v.Source != nil {
		p.Line("")
		v.Source.text(p, "a user for trib "+v.For+", at the source (--from-user)")
		v.cases(p, true)
	}
}

func (v ACL) cases(p *Page, source bool) {
	for _, c := range v.Cases {
		if c.Source == source {
			p.Line("# %s", c.Case)
			p.Line("ACL SETUSER trib %s", c.Rule)
		}
	}
}

func (g Grant) text(p *Page, title string) {
	p.Line("# %s", title)
	p.Line("ACL SETUSER trib reset on >PASSWORD %s", g.Rule)
	p.Line("# it works without these, and knows less or stops in rare cases")
	p.Line("ACL SETUSER trib %s", g.More)
}
