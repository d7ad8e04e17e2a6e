package ui

import "fmt"

// Version is what this trib was built from.
type Version struct {
	Schema   int    `json:"schema"`
	Command  string `json:"command"`
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes of its own
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Text writes one line.
func (v Version) Text(p *Page) {
	line := fmt.Sprintf("trib %s (%s, %s)", v.Version, v.Go, v.Platform)
	if v.Commit != "" {
		line += " commit " + v.Commit
	}
	p.Line("%s", line)
}

// KeySlot is the slot of a key.
type KeySlot struct {
	Schema  int    `json:"schema"`
	Command string `json:"command"`
	Key     string `json:"key"`
	Slot    int    `json:"slot"`
}

// Text writes the number alone, for scripts.
func (v KeySlot) Text(p *Page) { p.Line("%d", v.Slot) }
