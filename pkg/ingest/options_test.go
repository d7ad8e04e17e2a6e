package ingest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// masters is a cluster of which every node is a master with so many databases.
func masters(t *testing.T, databases ...int) cluster.State {
	t.Helper()
	var s cluster.State
	for _, n := range databases {
		view, err := cluster.ParseNodes("07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5\n")
		if err != nil {
			t.Fatal(err)
		}
		m := cluster.Member{View: view}
		for db := range n {
			m.Databases = append(m.Databases, db)
		}
		s.Members = append(s.Members, m)
	}
	return s
}

// TestDatabases promises that numbers are kept only where every master has them,
// and that what comes together is known before it does.
func TestDatabases(t *testing.T) {
	keyspace := []cluster.DBKeys{{DB: 0, Keys: 5}, {DB: 3, Keys: 7}, {DB: 9}}
	tests := []struct {
		name    string
		cluster []int
		wanted  []int
		merges  bool
		keys    int64
		into    int // what database 3 comes into
	}{
		{"one database", []int{1, 1}, nil, true, 12, 0},
		{"many on every master", []int{4, 16}, nil, false, 12, 3},
		{"too few on one of them", []int{16, 3}, nil, true, 12, 0},
		{"one that is wanted", []int{1}, []int{3}, false, 7, 0},
		{"one that is wanted and there", []int{4}, []int{3}, false, 7, 3},
		{"an empty one", []int{1}, []int{9}, false, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Origins: []Origin{{Keyspace: keyspace}}, Cluster: masters(t, tt.cluster...), Databases: tt.wanted}
			if o.Merges() != tt.merges || o.Keys() != tt.keys {
				t.Errorf("merges %v with %d keys, want %v with %d", o.Merges(), o.Keys(), tt.merges, tt.keys)
			}
			if o.wants(3) && tt.keys > 0 && o.target(3) != tt.into {
				t.Errorf("database 3 comes into %d, want %d", o.target(3), tt.into)
			}
		})
	}
}

// TestRefusals promises that what passes is waited for, and that what every key
// would meet ends the run.
func TestRefusals(t *testing.T) {
	const by = "ERR Target instance replied with error: "
	for text, want := range map[string][3]bool{ // passing, hopeless, foreign
		"MOVED 5 10.0.0.1:7000":                                      {true, false, false},
		by + "MOVED 5 10.0.0.1:7000":                                 {true, false, false},
		by + "CLUSTERDOWN Hash slot not served":                      {true, false, false},
		"IOERR error or timeout reading to target instance":          {true, false, false},
		"READONLY You can't write against a read only replica.":      {true, false, false},
		"OOM command not allowed when used memory > 'maxmemory'.":    {false, true, false},
		by + "ERR DUMP payload version or checksum are wrong":        {false, true, true},
		"ERR Bad data format":                                        {false, true, true},
		"NOPERM this user has no permissions to run the 'x' command": {false, true, false},
	} {
		err := &driver.ServerError{Text: text}
		if got := [3]bool{passing(err), hopeless(err), foreign(err)}; got != want {
			t.Errorf("%q: passing, hopeless, foreign are %v, want %v", text, got, want)
		}
	}
	lost := &driver.TransportError{Err: driver.ErrBroken}
	if hopeless(lost) || hopeless(errNoOwner) {
		t.Error("a node that may come back is given up at once")
	}
}

func TestValue(t *testing.T) {
	v := func(dump string, ttl int64) value { return value{true, dump, ttl} }
	tests := []struct {
		name        string
		a, b        value
		body, times bool
	}{
		{"equal", v("body0123456789", -1), v("body0123456789", -1), true, true},
		{"another version's footer", v("body0123456789", -1), v("bodyabcdefghij", -1), true, true},
		{"another body", v("body0123456789", -1), v("bodx0123456789", -1), false, true},
		{"one expires", v("body0123456789", 100), v("body0123456789", -1), true, false},
		{"a bit of delay", v("body0123456789", 100_000), v("body0123456789", 96_000), true, true},
		{"another time", v("body0123456789", 100_000), v("body0123456789", 90_000), true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a.body() == tt.b.body(); got != tt.body {
				t.Errorf("bodies equal: %v", got)
			}
			if tt.a.expiresWith(tt.b) != tt.times || tt.b.expiresWith(tt.a) != tt.times {
				t.Errorf("times equal: %v", !tt.times)
			}
		})
	}
}

// TestWriters promises every member, in pairs where there are pairs, and scores
// before members.
func TestWriters(t *testing.T) {
	want := []driver.Command{{"ZADD", "k", "1.5", "a", "-2", "b"}}
	if diff := cmp.Diff(want, writers("zset", "k", []string{"a", "1.5", "b", "-2"})); diff != "" {
		t.Error(diff)
	}
	var members []string
	for range 2501 {
		members = append(members, "f", "v")
	}
	n := 0
	for _, cmd := range writers("hash", "k", members) {
		if cmd[0] != "HSET" || len(cmd)%2 != 0 {
			t.Errorf("%s with %d words", cmd[0], len(cmd))
		}
		n += len(cmd) - 2
	}
	if n != len(members) {
		t.Errorf("%d of %d words are written", n, len(members))
	}
	if !slices.Equal(members[:2], []string{"f", "v"}) {
		t.Error("the caller's members were changed")
	}
}
