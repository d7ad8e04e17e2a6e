package ui

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

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

// KeySlot is the slot of each key.
type KeySlot struct {
	Schema  int    `json:"schema"`
	Command string `json:"command"`
	*Key           // where there is one
	Keys    []Key  `json:"keys"`
}

// Key is a key and its slot.
type Key struct {
	Key     string `json:"key"`
	Slot    int    `json:"slot"`
	HashTag string `json:"hash_tag,omitempty"` // where a part of the key decides
}

// NewKeySlot makes the view of some keys.
func NewKeySlot(keys ...string) KeySlot {
	v := KeySlot{Schema: Schema, Command: "keyslot", Keys: []Key{}}
	for _, name := range keys {
		k := Key{Key: name, Slot: cluster.KeySlot(name)}
		if tag := cluster.HashTag(name); tag != name {
			k.HashTag = tag
		}
		v.Keys = append(v.Keys, k)
	}
	if len(v.Keys) == 1 {
		v.Key = &v.Keys[0]
	}
	return v
}

// Text writes the number alone where there is one key, for scripts, and a
// number before each key otherwise.
func (v KeySlot) Text(p *Page) {
	if v.Key != nil {
		p.Line("%d", v.Slot)
		return
	}
	for _, k := range v.Keys {
		p.Line("%5d  %s", k.Slot, k.Key)
	}
}
