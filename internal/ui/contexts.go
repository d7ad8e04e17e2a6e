package ui

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Contexts are the clusters that the configuration file names.
type Contexts struct {
	Schema   int       `json:"schema"`
	Command  string    `json:"command"`
	File     string    `json:"file"`
	Contexts []Context `json:"contexts"`
}

// Context is one of them. It says where the password is, and never what it is.
type Context struct {
	Name       string            `json:"name"`
	Current    bool              `json:"current"`
	Seeds      []cluster.Addr    `json:"seeds"`
	User       string            `json:"user,omitempty"`
	Password   string            `json:"password,omitempty"`
	TLS        bool              `json:"tls"`
	CACert     string            `json:"cacert,omitempty"`
	CACertDir  string            `json:"cacertdir,omitempty"`
	Cert       string            `json:"cert,omitempty"`
	Key        string            `json:"key,omitempty"`
	SNI        string            `json:"sni,omitempty"`
	Insecure   bool              `json:"insecure,omitempty"`
	AddressMap map[string]string `json:"address_map,omitempty"`
	Zones      map[string]string `json:"zones,omitempty"`
	ClusterID  []cluster.NodeID  `json:"cluster_id"`
}

// Text writes a table of the contexts.
func (v Contexts) Text(p *Page) {
	if len(v.Contexts) == 0 {
		p.Line("There are no contexts in %s.", v.File)
		return
	}
	rows := make([][]string, len(v.Contexts))
	for i, c := range v.Contexts {
		star := ""
		if c.Current {
			star = "*"
		}
		rows[i] = []string{star, c.Name, joined(c.Seeds), c.User, yesNo(c.TLS), yesNo(len(c.ClusterID) > 0)}
	}
	p.table([]string{"", "context", "seeds", "user", "tls", "pinned"}, rows)
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func joined[T any](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = fmt.Sprint(item)
	}
	return strings.Join(texts, ", ")
}

// ContextShown is one context in full, and what was done to it.
type ContextShown struct {
	Contexts
	Done string `json:"done,omitempty"`
}

// Text writes what is set.
func (v ContextShown) Text(p *Page) {
	c := v.Contexts.Contexts[0]
	title := c.Name
	if c.Current {
		title += " (the current context)"
	}
	p.Line("%s", title)
	for _, field := range []struct{ name, value string }{
		{"seeds", joined(c.Seeds)},
		{"user", c.User},
		{"password", c.Password},
		{"tls", yesNo(c.TLS)},
		{"cacert", c.CACert},
		{"cacertdir", c.CACertDir},
		{"cert", c.Cert},
		{"key", c.Key},
		{"sni", c.SNI},
		{"insecure", map[bool]string{true: "yes"}[c.Insecure]},
		{"address-map", pairsOf(c.AddressMap)},
		{"zones", pairsOf(c.Zones)},
	} {
		if field.value != "" {
			p.Line("  %-12s %s", field.name, field.value)
		}
	}
	for i, id := range c.ClusterID {
		p.Line("  %-12s %s", map[bool]string{true: "cluster-id"}[i == 0], id)
	}
	if v.Done != "" {
		p.Line("[OK] %s", v.Done)
	}
}

func pairsOf(m map[string]string) string {
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		texts = append(texts, key+"="+m[key])
	}
	return strings.Join(texts, ", ")
}
