package acceptance

import (
	"encoding/json"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestAnswers: a yes on a pipe is enough, with or without its newline; anything
// else, and nobody there to answer, changes nothing and says which flag to use.
func TestAnswers(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 3})
	create := append([]string{"create"}, l.Addrs()...)
	before := memory(t, l)
	for stdin, why := range map[string]string{
		"":             "no input to read an answer from; nothing was changed",
		"no\n":         "declined; nothing was changed",
		"n":            "declined; nothing was changed",
		"y\n":          "neither yes nor no; nothing was changed",
		"\n":           "neither yes nor no; nothing was changed",
		"yes please\n": "neither yes nor no; nothing was changed",
		"\nyes\n":      "neither yes nor no; nothing was changed",
	} {
		how{stdin: stdin}.run(t, create...).exit(t, 1).complains(t, why)
		untouched(t, l, before)
	}
	trib(t, create...).exit(t, 1).complains(t, "^hint: --yes ")
	how{env: []string{"TRIB_YES=no", "REDISCLI_CLUSTER_YES=0"}}.run(t, create...).exit(t, 1)
	untouched(t, l, before)

	how{stdin: "yes"}.run(t, create...).done(t)
	m := whole(t, l).masters()
	reshard := []string{"reshard", m[0].Addr(), "--from", m[0].self.id, "--to", m[1].self.id, "--slots", "5"}
	now := memory(t, l)
	trib(t, reshard...).exit(t, 1).complains(t, "nothing was changed", "^hint: --yes ")
	untouched(t, l, now)
	how{stdin: "yes\n"}.run(t, reshard...).done(t)
	if got := whole(t, l).gained(m, m[1].Addr()); got != 5 {
		t.Errorf("%d slots moved", got)
	}
}

// TestJSON: with -o json standard output is one object with a schema version,
// or empty; a failure is an object on standard error.
func TestJSON(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 3})
	create := append([]string{"create", "-o", "json"}, l.Addrs()...)
	before := memory(t, l)
	object(t, trib(t, append(create, "--dry-run")...).done(t), map[string]any{"command": "create", "dry_run": true, "changed": false})
	trib(t, append([]string{"create", "--dry-run"}, l.Addrs()...)...).done(t, `^\[OK\] Dry run: nothing was changed\.$`)
	failure(t, trib(t, create...), 1)
	untouched(t, l, before)
	object(t, trib(t, append(create, "--yes")...).done(t), map[string]any{"command": "create", "dry_run": false, "changed": true, "healthy": true})
	object(t, trib(t, append(create, "--yes")...).done(t), map[string]any{"changed": false, "healthy": true})

	m := whole(t, l).masters()
	seed := m[2].Addr()
	reshard := []string{"reshard", seed, "--from", m[0].self.id, "--to", m[1].self.id, "--slots", "5", "-o", "json"}
	before = memory(t, l)
	object(t, trib(t, append(reshard, "--dry-run")...).done(t), map[string]any{"command": "reshard", "dry_run": true, "slots_moved": 0.0})
	object(t, trib(t, "check", seed, "-o", "json").done(t), map[string]any{"command": "check", "healthy": true, "slots_covered": 16384.0})
	object(t, trib(t, "info", "-ojson", seed).done(t), map[string]any{"command": "info", "masters": 3.0})
	object(t, trib(t, "resume", seed, "--output=json").done(t), map[string]any{"command": "resume", "changed": false})
	untouched(t, l, before)
	object(t, trib(t, append(reshard, "--yes")...).done(t), map[string]any{"slots_moved": 5.0, "changed": true, "healthy": true})
	before = memory(t, l)

	failure(t, trib(t, "check", "127.0.0.1:1", "-o", "json"), 7)
	failure(t, trib(t, "check", "-o", "json"), 2)
	failure(t, trib(t, "reshard", seed, "--from", "all", "--to", "zzz", "--slots", "1", "-o", "json"), 1)
	failure(t, trib(t, "reshard", seed, "--from", "all", "--to", m[1].self.id, "--slots", "16384", "-o", "json"), 4)
	untouched(t, l, before)

	// What is wrong stands in both streams: the report, and the failure.
	l.Do(t, m[2].Node, "CLUSTER", "DELSLOTS", "16383")
	r := trib(t, "check", seed, "-o", "json")
	failure(t, result{args: r.args, err: r.err, code: r.code}, 3)
	object(t, r, map[string]any{"healthy": false, "slots_covered": 16383.0})
}

// object holds that standard output is one JSON object with these fields.
func object(t *testing.T, r result, want map[string]any) {
	t.Helper()
	fields(t, r, r.out, want)
}

func failure(t *testing.T, r result, code int) {
	t.Helper()
	r.exit(t, code)
	if r.out != "" {
		t.Errorf("standard output is not empty: %v", r)
	}
	fields(t, r, r.err, map[string]any{"exit": float64(code)})
}

func fields(t *testing.T, r result, text string, want map[string]any) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	want["schema"] = 1.0
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %v, want %v: %v", name, got[name], value, r)
		}
	}
}
