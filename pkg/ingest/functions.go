package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Library is a library of functions.
type Library struct{ Name, Code string }

// Libraries lists those that a server has; none where it is older than functions.
func Libraries(ctx context.Context, conn driver.Conn) ([]Library, error) {
	reply, err := driver.Call(ctx, conn, "FUNCTION", "LIST", "WITHCODE")
	if driver.Mentions(err, "unknown command") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("FUNCTION LIST: %w", err)
	}
	items, _ := reply.Value.([]any)
	var all []Library
	for _, item := range items {
		fields, _ := item.([]any)
		var l Library
		for i := 0; i+1 < len(fields); i += 2 {
			switch fields[i] {
			case "library_name":
				l.Name, _ = fields[i+1].(string)
			case "library_code":
				l.Code, _ = fields[i+1].(string)
			}
		}
		if l.Name == "" || l.Code == "" {
			return nil, errors.New("FUNCTION LIST: a library without name or code")
		}
		all = append(all, l)
	}
	return all, nil
}

// Loaded is what became of libraries at the masters.
type Loaded struct {
	Loaded  int `json:"loaded"`
	Skipped int `json:"skipped"` // the master had it, with the same code

	Problems []LibraryProblem `json:"problems,omitempty"`
}

// LibraryProblem is a library that a master did not get.
type LibraryProblem struct {
	Library  string       `json:"library"`
	Addr     cluster.Addr `json:"addr"` // of the master
	Existing bool         `json:"existing"`
	Why      string       `json:"why"`
}

// LoadLibraries gives libraries to every master of the cluster. One that a master
// has with other code stays as it is, unless replace is set.
func LoadLibraries(ctx context.Context, to driver.Dialer, name string, s cluster.State, all []Library, replace bool) Loaded {
	var done Loaded
	for _, m := range s.Masters() {
		if len(all) > 0 {
			done.load(ctx, to, name, m.Addr, all, replace)
		}
	}
	return done
}

func (d *Loaded) load(ctx context.Context, to driver.Dialer, name string, addr cluster.Addr, all []Library, replace bool) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	fail := func(l Library, existing bool, why string) {
		d.Problems = append(d.Problems, LibraryProblem{l.Name, addr, existing, why})
	}
	conn, err := to.Dial(ctx, addr, name)
	var has map[string]string
	if err == nil {
		defer conn.Close()
		has, err = codes(ctx, conn)
	}
	for _, l := range all {
		switch code, there := has[l.Name]; {
		case err != nil:
			fail(l, false, err.Error())
		case code == l.Code:
			d.Skipped++
		case there && !replace:
			fail(l, true, "the cluster has it with other code")
		default:
			if _, err := driver.Call(ctx, conn, "FUNCTION", "LOAD", "REPLACE", l.Code); err != nil {
				fail(l, false, err.Error())
				continue
			}
			d.Loaded++
		}
	}
}

func codes(ctx context.Context, conn driver.Conn) (map[string]string, error) {
	libraries, err := Libraries(ctx, conn)
	if err != nil {
		return nil, err
	}
	has := make(map[string]string)
	for _, l := range libraries {
		has[l.Name] = l.Code
	}
	return has, nil
}
