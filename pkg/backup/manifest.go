package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// The names of files in a backup.
const (
	manifestFile = "manifest.json"
	nodesFile    = "nodes.json"
	partial      = ".partial" // ends the name of a file that is not complete
)

// Version is that of the manifest. A reader refuses what is newer.
const Version = 1

// Manifest says what a backup holds.
type Manifest struct {
	Version int             `json:"version"`
	Tool    string          `json:"tool,omitempty"` // that made it
	Began   time.Time       `json:"began"`
	Ended   time.Time       `json:"ended"`
	Slots   cluster.SlotSet `json:"slots"` // of all files together
	Files   []File          `json:"files"` // one for each master with slots
	Nodes   Sum             `json:"nodes"` // the file that describes all nodes
}

// Sum tells a file from any other one.
type Sum struct {
	Name   string `json:"name"` // in the directory
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// File is the data of one master.
type File struct {
	Sum
	Master cluster.NodeID   `json:"master"` // whose data it is
	Node   cluster.NodeID   `json:"node"`   // that gave it: the master, or a replica of it
	Addr   cluster.Addr     `json:"addr"`   // of that node
	Slots  cluster.SlotSet  `json:"slots"`
	Epoch  uint64           `json:"epoch"`
	Server cluster.Server   `json:"server"`
	RDB    int              `json:"rdb_version"`
	Keys   []cluster.DBKeys `json:"keys"` // about, as the node said right before
}

// Bytes is how much all files take.
func (m Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Bytes
	}
	return n
}

// Keys is about how many keys there are; 0 where nobody knows.
func (m Manifest) Keys() int64 {
	var n int64
	for _, f := range m.Files {
		for _, db := range f.Keys {
			n += db.Keys
		}
	}
	return n
}

// parseManifest takes nothing that a program of this version did not write.
func parseManifest(data []byte) (m Manifest, err error) {
	var head struct{ Version int }
	if err := json.Unmarshal(data, &head); err != nil {
		return m, fmt.Errorf("%s: %w", manifestFile, err)
	}
	if head.Version != Version {
		return m, fmt.Errorf("%s: version %d, and this program knows %d", manifestFile, head.Version, Version)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("%s: %w", manifestFile, err)
	}
	return m, m.check()
}

func (m Manifest) check() error {
	if len(m.Files) == 0 {
		return fmt.Errorf("%s: it names no files", manifestFile)
	}
	seen := make(map[string]bool)
	for _, f := range m.Files {
		switch {
		case f.Name != fileName(f.Name) || strings.HasPrefix(f.Name, "."):
			return fmt.Errorf("%s: %q is no name of a file in the directory", manifestFile, f.Name)
		case seen[f.Name]:
			return fmt.Errorf("%s: %s stands twice", manifestFile, f.Name)
		case f.Bytes < 1 || len(f.SHA256) != 64:
			return fmt.Errorf("%s: %s has no size or no checksum", manifestFile, f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

// fileName keeps of a name what can do no harm: hosts are what nodes announce.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_", r) {
			return r
		}
		return '_'
	}, s)
}
