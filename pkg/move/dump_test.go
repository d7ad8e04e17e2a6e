package move_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/pkg/cluster"
)

// TestDumpVersions asks every server for a value, and every other one to take it.
func TestDumpVersions(t *testing.T) {
	t.Parallel()
	names := labtest.Names()
	l := labtest.Start(t, labtest.Options{Mix: names, Nodes: len(names), Config: []string{"cluster-enabled no"}})
	type dumped struct {
		cluster.Server
		payload string
	}
	values := make([]dumped, len(names))
	for i, n := range l.Nodes() {
		info, err := cluster.ParseInfo(l.Text(t, n, "INFO", "server"))
		if err != nil {
			t.Fatal(err)
		}
		if values[i].Server, err = info.Server(); err != nil {
			t.Fatal(err)
		}
		l.Do(t, n, "SET", "k", "v")
		values[i].payload = l.Text(t, n, "DUMP", "k")
		// The payload ends in two bytes of version and eight of a checksum.
		footer := []byte(values[i].payload[len(values[i].payload)-10:])
		if got := int(binary.LittleEndian.Uint16(footer)); got != values[i].DumpVersion() {
			t.Errorf("%s hands out version %d, not %d", values[i].Server, got, values[i].DumpVersion())
		}
	}
	for i, n := range l.Nodes() {
		for _, from := range values {
			_, err := l.Dial(t, n).Do("RESTORE", "copy", "0", from.payload, "REPLACE")
			if err != nil && !strings.Contains(err.Error(), "payload version") {
				t.Fatal(err)
			}
			if restores := values[i].Restores(from.Server); restores != (err == nil) {
				t.Errorf("%s restores what %s hands out: %v; it says %v", values[i].Server, from.Server, restores, err)
			}
		}
	}
}
