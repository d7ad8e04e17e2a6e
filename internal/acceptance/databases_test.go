package acceptance

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestDatabases moves slots with keys in several databases, which only Valkey 9
// has in a cluster.
func TestDatabases(t *testing.T) {
	l := labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 3, Config: []string{"cluster-databases 4"}})
	trib(t, append([]string{"create", "--yes"}, l.Addrs()...)...).done(t)
	m := look(t, l).masters()
	keys := keysFor(func(slot int) int {
		if slot < 100 {
			return 3
		}
		return 0
	})
	// each calls do for a command in each database in which a key is.
	each := func(on server, do func(command, reply string), verb func(key, value string) []string) {
		conn := l.Dial(t, on.Node)
		for i, key := range keys {
			for _, db := range []int{0, 1, 3}[i%3:] {
				command := verb(key, fmt.Sprint(key, " in ", db))
				replies, err := conn.Pipeline([]string{"SELECT", strconv.Itoa(db)}, command)
				if err != nil {
					t.Fatal(err)
				}
				do(fmt.Sprint(db, command), fmt.Sprint(replies[1]))
			}
		}
	}
	written := make(map[string]string)
	each(m[0], func(command, reply string) {
		if reply != "OK" {
			t.Fatalf("%s: %s", command, reply)
		}
	}, func(key, value string) []string { return []string{"SET", key, value} })
	get := func(key, _ string) []string { return []string{"GET", key} }
	each(m[0], func(command, reply string) { written[command] = reply }, get)

	reshard(t, l, m[0], m[1], 80)
	trib(t, "reshard", m[0].Addr(), "--from", m[0].self.id, "--to", m[1].self.id, "--slots", "20", "--method", "classic", "--yes").done(t)
	each(m[1], func(command, reply string) {
		if reply != written[command] {
			t.Errorf("%s: %q, want %q", command, reply, written[command])
		}
	}, get)
	if left := dbSize(t, l, m[0].Node); left != 0 {
		t.Errorf("%d keys stayed behind", left)
	}
	infoAgrees(t, l, l.Addrs()[0])
}
