package cluster_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
)

// member is a node with the view that a text says.
func member(t testing.TB, text string) cluster.Member {
	t.Helper()
	v := parse(t, text)
	return cluster.Member{ID: v.Self().ID, Addr: v.Self().Addr, View: v}
}

// trio is a master with slots 0-9, one with 5-16383, and a replica of the first.
func trio(t testing.TB) cluster.State {
	return cluster.State{Members: []cluster.Member{
		member(t, selfLine+" 0-9"),
		member(t, strings.Replace(otherLine, "master", "myself,master", 1)+" 5-16383"),
		member(t, idC+" 10.0.0.3:7000@17000 myself,slave "+idA+" 0 0 1 connected"),
	}}
}

func ids(members []cluster.Member) []cluster.NodeID {
	var out []cluster.NodeID
	for _, m := range members {
		out = append(out, m.ID)
	}
	return out
}

// TestStateQuestions promises that only those who answer are asked, and about
// themselves.
func TestStateQuestions(t *testing.T) {
	s := trio(t)
	tests := []struct {
		name string
		got  []cluster.Member
		want []cluster.NodeID
	}{
		{"masters", s.Masters(), []cluster.NodeID{idA, idB}},
		{"replicas", s.ReplicasOf(idA), []cluster.NodeID{idC}},
		{"replicas of one without", s.ReplicasOf(idB), nil},
		{"owners of a doubled slot", s.Owners(7), []cluster.NodeID{idA, idB}},
		{"owner", s.Owners(0), []cluster.NodeID{idA}},
		{"everybody answers", s.Unreachable(), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, ids(tt.got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStateOfTheSilent(t *testing.T) {
	s := trio(t)
	s.Members[0].Unreachable = "i/o timeout"
	s.Members[2].Unreachable = "i/o timeout"
	if diff := cmp.Diff([]cluster.NodeID{idB}, ids(s.Masters())); diff != "" {
		t.Errorf("masters (-want +got):\n%s", diff)
	}
	if got := s.Owners(0); got != nil {
		t.Errorf("a silent node owns slot 0: %v", ids(got))
	}
	if got := s.ReplicasOf(idA); got != nil {
		t.Errorf("a silent node replicates: %v", ids(got))
	}
	if diff := cmp.Diff([]cluster.NodeID{idA, idC}, ids(s.Unreachable())); diff != "" {
		t.Errorf("silent (-want +got):\n%s", diff)
	}
	if m, ok := s.Get(idA); !ok || m.Reachable() || m.IsMaster() {
		t.Errorf("the silent node: %+v", m)
	}
	if _, ok := s.Get("x"); ok {
		t.Error("got a node that is not there")
	}
}

// TestMemberKeys promises that keys which were not counted are not taken for
// none.
func TestMemberKeys(t *testing.T) {
	m := cluster.Member{
		Keyspace: []cluster.DBKeys{{DB: 0, Keys: 3}, {DB: 2, Keys: 4}},
		SlotKeys: map[int]int64{5: 2, 6: 0},
	}
	if m.Keys() != 7 {
		t.Errorf("%d keys", m.Keys())
	}
	for slot, want := range map[int]struct {
		n       int64
		counted bool
	}{5: {2, true}, 6: {0, true}, 7: {0, false}} {
		if n, counted := m.KeysIn(slot); n != want.n || counted != want.counted {
			t.Errorf("slot %d: %d, %v", slot, n, counted)
		}
	}
}

// TestFind promises that a name means one node or an error that lists the
// candidates.
func TestFind(t *testing.T) {
	const twin = "abbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	s := cluster.State{Members: []cluster.Member{
		{ID: idA, Addr: cluster.Addr{Host: "10.0.0.1", Port: 7000}},
		{ID: twin, Addr: cluster.Addr{Host: "::1", Port: 7001}, Unreachable: "dead"},
		{ID: idB, Addr: cluster.Addr{Host: "n3.example.com", Port: 7000}},
	}}
	tests := []struct {
		name, arg string
		want      cluster.NodeID
		err       string
	}{
		{"id", idA, idA, ""},
		{"upper case", strings.ToUpper(idA), idA, ""},
		{"prefix", "aa", idA, ""},
		{"prefix of a dead node", "ab", twin, ""},
		{"address", "10.0.0.1:7000", idA, ""},
		{"IPv6 without brackets", "::1:7001", twin, ""},
		{"as CLUSTER NODES prints it", "10.0.0.1:7000@17000", idA, ""},
		{"host name", "n3.example.com:7000", idB, ""},
		{"ambiguous prefix", "a", "", "it may be 10.0.0.1:7000 (aaaaaaaa), [::1]:7001 (abbbbbbb)"},
		{"unknown", "c", "", "known nodes: 10.0.0.1:7000 (aaaaaaaa), [::1]:7001 (abbbbbbb), n3.example.com:7000 (bbbbbbbb)"},
		{"empty is nobody, not everybody", "", "", "no node"},
		{"another port", "10.0.0.1:7001", "", "no node"},
		{"a host alone", "10.0.0.1", "", "no node"},
		{"longer than an id", idA + "a", "", "no node"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.Find(tt.arg)
			checkError(t, err, tt.err)
			if got.ID != tt.want {
				t.Errorf("%s, want %s", got.ID, tt.want)
			}
		})
	}
}

// TestSort promises one order whatever the nodes were read in: plans depend on
// it to the byte.
func TestSort(t *testing.T) {
	at := func(host string, port int, id cluster.NodeID) cluster.Member {
		return cluster.Member{ID: id, Addr: cluster.Addr{Host: host, Port: port}}
	}
	want := []cluster.Member{at("", 1, idA), at("a", 2, idC), at("a", 10, idA), at("a", 10, idB), at("b", 1, idA)}
	for _, order := range [][]int{{4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}} {
		var s cluster.State
		for _, i := range order {
			s.Members = append(s.Members, want[i])
		}
		s.Sort()
		if diff := cmp.Diff(want, s.Members, cmp.AllowUnexported(cluster.View{})); diff != "" {
			t.Errorf("order %v (-want +got):\n%s", order, diff)
		}
	}
}

// FuzzFind promises that a name finds the one node that it is a name of, and
// that an error gives the user names to choose from.
func FuzzFind(f *testing.F) {
	var s cluster.State
	for _, dir := range serverDirs(f) {
		v, err := cluster.ParseNodes(read(f, dir+"/nodes-formed.txt"))
		if err != nil {
			f.Fatal(err)
		}
		for _, n := range v.Nodes {
			s.Members = append(s.Members, cluster.Member{ID: n.ID, Addr: n.Addr})
			f.Add(string(n.ID))
			f.Add(string(n.ID)[:3])
			f.Add(n.Addr.String())
		}
	}
	for _, name := range []string{"", "0", "A", "[::1]:7000", "127.0.0.1", ":1", "\x1b[2J"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		m, err := s.Find(name)
		switch {
		case err != nil && !strings.Contains(err.Error(), s.Members[0].ID.Short()) && strings.Contains(err.Error(), "no node"):
			t.Errorf("%q: %v", name, err)
		case err == nil && !strings.HasPrefix(string(m.ID), strings.ToLower(name)) && !sameAddr(m.Addr, name):
			t.Errorf("%q found %s %s", name, m.ID, m.Addr)
		}
	})
}

func sameAddr(a cluster.Addr, name string) bool {
	b, err := cluster.ParseAddr(name)
	return err == nil && a == b
}
