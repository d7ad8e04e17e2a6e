package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Contexts are the clusters that the configuration file names.
type Contexts struct {
	Current  string             `yaml:"current"` // is meant where a command names no cluster
	Contexts map[string]Context `yaml:"contexts"`

	path string
	env  Env
}

// Context is one cluster and the way to it. Passwords do not stand here, but
// where they are.
type Context struct {
	Seeds []cluster.Addr `yaml:"seeds"`
	User  string         `yaml:"user"`

	PasswordFile    string `yaml:"password-file"`
	PasswordCommand string `yaml:"password-command"`
	PasswordEnv     string `yaml:"password-env"` // the variable that has it

	TLS       bool   `yaml:"tls"`
	CACert    string `yaml:"cacert"`
	CACertDir string `yaml:"cacertdir"`
	Cert      string `yaml:"cert"`
	Key       string `yaml:"key"`
	SNI       string `yaml:"sni"`
	Insecure  bool   `yaml:"insecure"`

	AddressMap map[string]string `yaml:"address-map"` // announced to reachable
	Zones      map[string]string `yaml:"zones"`       // by host
	ClusterID  []cluster.NodeID  `yaml:"cluster-id"`  // nodes of which most must be there

	Name string `yaml:"-"`
}

// ConfigFile is where the configuration file is on an operating system, by the
// name that Go gives it; empty where the environment names no home.
func (env Env) ConfigFile(goos string) string {
	if file := env("TRIB_CONFIG"); file != "" {
		return file
	}
	if dir := env("XDG_CONFIG_HOME"); filepath.IsAbs(dir) && goos != "windows" && goos != "darwin" {
		return filepath.Join(dir, "trib", "config.yaml")
	}
	home, place := "HOME", ".config"
	switch goos {
	case "darwin":
		place = "Library/Application Support"
	case "windows":
		home, place = "AppData", ""
	}
	if env(home) == "" {
		return ""
	}
	return filepath.Join(env(home), place, "trib", "config.yaml")
}

// ReadContexts reads the file. One that does not exist names no clusters.
func ReadContexts(path string, env Env) (Contexts, error) {
	c := Contexts{path: path, env: env}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || path == "" {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if err := c.parse(text); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *Contexts) parse(text []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return plainly(err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	for _, name := range c.Names() {
		context := c.Contexts[name]
		context.Name = name
		context.locate(filepath.Dir(c.path), c.env("HOME"))
		if err := context.check(); err != nil {
			return fmt.Errorf("context %s: %w", name, err)
		}
		c.Contexts[name] = context
	}
	if _, known := c.Contexts[c.Current]; c.Current != "" && !known {
		return fmt.Errorf("current: there is no context %q, but %s", c.Current, c.listed())
	}
	return nil
}

// plainly words the YAML library's errors, which speak of Go.
func plainly(err error) error {
	wrong, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	texts := slices.Clone(wrong.Errors)
	for i, text := range texts {
		where, field, unknown := strings.Cut(text, "field ")
		if field, _, ok := strings.Cut(field, " not found in type "); unknown && ok {
			texts[i] = where + "there is no setting " + field
			if field == "password" {
				texts[i] += "; say where the password is: password-file, password-command or password-env"
			}
		}
		texts[i], _, _ = strings.Cut(texts[i], " into ")
	}
	return errors.New(strings.Join(texts, "; "))
}

// locate makes files findable from any directory: they are named as seen from
// the configuration file.
func (c *Context) locate(dir, home string) {
	for _, file := range []*string{&c.PasswordFile, &c.CACert, &c.CACertDir, &c.Cert, &c.Key} {
		rest, atHome := strings.CutPrefix(*file, "~/")
		switch {
		case *file == "":
		case atHome && home != "":
			*file = filepath.Join(home, rest)
		case !filepath.IsAbs(*file):
			*file = filepath.Join(dir, *file)
		}
	}
}

func (c Context) check() error {
	sources := 0
	for _, s := range []string{c.PasswordFile, c.PasswordCommand, c.PasswordEnv} {
		if s != "" {
			sources++
		}
	}
	switch {
	case len(c.Seeds) == 0:
		return errors.New("no seeds: name some of its nodes, as host:port")
	case sources > 1:
		return errors.New("password-file, password-command and password-env: want one of them")
	case !c.TLS && c.TLSFiles() != (TLS{}):
		return errors.New("cacert, cacertdir, cert, key, sni and insecure need tls: true")
	}
	for i, id := range c.ClusterID {
		folded, err := cluster.ParseNodeID(string(id))
		if err != nil {
			return fmt.Errorf("cluster-id: %w", err)
		}
		c.ClusterID[i] = folded
	}
	_, err := c.Addresses()
	return err
}

// TLSFiles is what the context says of encryption, beside that there is one.
func (c Context) TLSFiles() TLS {
	return TLS{CACert: c.CACert, CACertDir: c.CACertDir, Cert: c.Cert, Key: c.Key, Name: c.SNI, Insecure: c.Insecure}
}

// Addresses is the context's address map.
func (c Context) Addresses() (driver.AddressMap, error) {
	var m driver.AddressMap
	for _, announced := range slices.Sorted(maps.Keys(c.AddressMap)) {
		if err := m.Add(announced + "=" + c.AddressMap[announced]); err != nil {
			return m, fmt.Errorf("address-map: %s: %w", announced, err)
		}
	}
	return m, nil
}

// HasSeed reports whether an address is that of one of the seeds, as it is
// announced or as it is reached.
func (c Context) HasSeed(addr cluster.Addr) bool {
	m, err := c.Addresses()
	reached := func(a cluster.Addr) cluster.Addr { return m.Reach(a).Canonical() }
	return err == nil && slices.ContainsFunc(c.Seeds, func(s cluster.Addr) bool { return reached(s) == reached(addr) })
}

// Source is where the password is, where it is not in the environment.
func (c Context) Source() PasswordSource {
	return PasswordSource{File: c.PasswordFile, Command: c.PasswordCommand}
}

// Names are the names of the contexts, sorted.
func (c Contexts) Names() []string { return slices.Sorted(maps.Keys(c.Contexts)) }

// Path is the file.
func (c Contexts) Path() string { return c.path }

// Get finds a context.
func (c Contexts) Get(name string) (Context, error) {
	if context, ok := c.Contexts[name]; ok {
		return context, nil
	}
	return Context{}, fmt.Errorf("there is no context %q, but %s (%s)", name, c.listed(), c.path)
}

func (c Contexts) listed() string {
	if len(c.Contexts) == 0 {
		return "none at all"
	}
	return strings.Join(c.Names(), ", ")
}

// Use makes a context the current one, in the file.
func (c Contexts) Use(name string) error {
	if _, err := c.Get(name); err != nil {
		return err
	}
	return c.edit(func(file *yaml.Node) { set(file, "current", scalar(name)) })
}

// Pin writes the nodes into the file of which most must be there from now on.
func (c Contexts) Pin(name string, ids []cluster.NodeID) error {
	if _, err := c.Get(name); err != nil {
		return err
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, id := range ids {
		list.Content = append(list.Content, scalar(string(id)))
	}
	return c.edit(func(file *yaml.Node) { set(value(value(file, "contexts"), name), "cluster-id", list) })
}

// edit changes the file and keeps its comments.
func (c Contexts) edit(change func(file *yaml.Node)) error {
	text, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return err
	}
	change(doc.Content[0])
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&doc); err != nil {
		return err
	}
	return replace(c.path, out.Bytes())
}

// replace leaves either the old file or the new one, whatever happens.
func replace(path string, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".config-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

// value is what a mapping has under a key; nil where it has none.
func value(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func set(mapping *yaml.Node, key string, to *yaml.Node) {
	if old := value(mapping, key); old != nil {
		to.LineComment, to.HeadComment, to.FootComment = old.LineComment, old.HeadComment, old.FootComment
		*old = *to
		return
	}
	mapping.Content = append(mapping.Content, scalar(key), to)
}
