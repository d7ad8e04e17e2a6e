package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrNone says that the directory holds no lab.
var ErrNone = errors.New("there is no lab here")

const manifestVersion = 1

// manifest is what lab.json holds. It never has a password in it.
type manifest struct {
	Version  int      `json:"version"`
	Host     string   `json:"host"`
	Detached bool     `json:"detached"`
	Nodes    []record `json:"nodes"`
}

// record is one server. Pid and Started are of its latest process, which may
// have ended.
type record struct {
	Port    int    `json:"port"`
	Dir     string `json:"dir"` // relative to the lab, so that a lab that is down can be moved
	Pid     int    `json:"pid"`
	Started string `json:"started"`
	Kind    string `json:"server"`
	Release string `json:"server_version"`
	Path    string `json:"server_path"`
}

// Open finds the lab that another program started in dir.
func Open(dir string) (*Lab, error) {
	if !supported {
		return nil, ErrUnsupported
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("lab in %s: %w", dir, err)
	}
	l := &Lab{dir: dir, wait: defaultWait}
	data, err := os.ReadFile(l.manifestPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNone)
	} else if err != nil {
		return nil, err
	}
	if err := l.restore(data); err != nil {
		return nil, fmt.Errorf("%s: %w", l.manifestPath(), err)
	}
	return l, nil
}

func (l *Lab) manifestPath() string { return filepath.Join(l.dir, "lab.json") }

func (l *Lab) restore(data []byte) error {
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	if m.Version != manifestVersion {
		return fmt.Errorf("manifest version %d: this trib knows version %d", m.Version, manifestVersion)
	}
	if ip := net.ParseIP(m.Host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("host %q is not a loopback address", m.Host)
	}
	l.host, l.detach = m.Host, m.Detached
	for _, r := range m.Nodes {
		// Remove deletes these directories: a strange name must not lead it astray.
		if r.Port < 1 || r.Port > 65535 || r.Dir != strconv.Itoa(r.Port) {
			return fmt.Errorf("node on port %d has directory %q, want its port", r.Port, r.Dir)
		}
		l.nodes = append(l.nodes, r.node(l))
	}
	return nil
}

func (r record) node(l *Lab) *Node {
	return &Node{
		lab:    l,
		server: Server{Path: r.Path, Kind: r.Kind, Version: r.Release},
		port:   r.Port,
		proc:   &process{pid: r.Pid, started: r.Started},
	}
}

func (n *Node) record() record {
	r := record{
		Port: n.port, Dir: strconv.Itoa(n.port),
		Kind: n.server.Kind, Release: n.server.Version, Path: n.server.Path,
	}
	if p := n.current(); p != nil {
		r.Pid, r.Started = p.pid, p.started
	}
	return r
}

// reserve makes the manifest's file, which only one program can do.
func (l *Lab) reserve() error {
	file, err := os.OpenFile(l.manifestPath(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", l.dir, ErrExists)
	} else if err != nil {
		return err
	}
	file.Close()
	return l.save()
}

// save replaces the manifest in one step: a reader sees the old or the new one.
func (l *Lab) save() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := manifest{Version: manifestVersion, Host: l.host, Detached: l.detach, Nodes: []record{}}
	for _, n := range l.nodes {
		m.Nodes = append(m.Nodes, n.record())
	}
	slices.SortFunc(m.Nodes, func(a, b record) int { return a.Port - b.Port })
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	next := l.manifestPath() + ".new"
	if err := os.WriteFile(next, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, l.manifestPath())
}
