package move

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/driver"
)

// TestMerge: keys that the target lacks move, and of two values that differ one is
// deleted where that is decided; nothing else is.
func TestMerge(t *testing.T) {
	one, other, none, ok := "\x00one", "\x00other", "", driver.Reply{Value: "OK"}
	for name, test := range map[string]struct {
		errand         errand
		source, target string
		decide         Winner
		migrate        driver.Reply
		carrier        string // the MIGRATEs
		source2        string // what the source is told, but for reading
		tally          string
		want           error // errConflict for a conflict
	}{
		"missing":                     {moves, one, none, NoWinner, ok, "plain", "", "0 0", nil},
		"made at the target meantime": {moves, one, none, NoWinner, refused("BUSYKEY"), "plain", "", "0 0", errLookAgain},
		"gone at the source":          {moves, none, one, NoWinner, ok, "", "", "0 0", nil},
		"equal":                       {moves, one, one, NoWinner, ok, "REPLACE", "", "1 0", nil},
		"differing":                   {moves, one, other, NoWinner, ok, "", "", "0 0", errConflict},
		"the source's stays":          {moves, one, other, SourceWins, ok, "REPLACE", "", "0 0", nil},
		"the target's stays":          {moves, one, other, TargetWins, ok, "", "WATCH k, MULTI, DEL k, EXEC", "0 0", nil},
		"brought":                     {brings, one, none, TargetWins, ok, "plain", "", "0 0", nil},
		"brought, differing":          {brings, one, other, NoWinner, ok, "", "", "0 0", errConflict},
		"brought, the target's stays": {brings, one, other, TargetWins, ok, "", "DEL k", "0 0", nil},
		"brought, the holder's stays": {brings, one, other, SourceWins, ok, "", "DEL k", "0 0", nil},
		"brought, equal":              {brings, one, one, NoWinner, ok, "", "DEL k", "1 0", nil},
		"dropped, equal":              {drops, one, one, NoWinner, ok, "", "DEL k", "1 0", nil},
		"dropped, missing":            {drops, one, none, NoWinner, ok, "", "", "0 0", errConflict},
		"dropped, missing, given up":  {drops, one, none, TargetWins, ok, "", "DEL k", "0 1", nil},
		"dropped, missing, to keep":   {drops, one, none, SourceWins, ok, "plain", "", "0 0", nil},
		"discarded, missing":          {wipes, one, none, NoWinner, ok, "", "DEL k", "0 1", nil},
		"discarded, differing":        {wipes, one, other, NoWinner, ok, "", "", "0 0", errConflict},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.errand, w.atSource["MIGRATE"] = test.errand, test.migrate
			if test.decide != NoWinner {
				w.o.Decide = func(Conflict) Winner { return test.decide }
			}
			stored(w.atSource, test.source)
			stored(w.atTarget, test.target)
			w.atSource["EXEC"] = listOf("1")
			w.atTarget["EXEC"] = listOf("OK")
			err := w.merge(t.Context(), batch{slot: 7, keys: []string{"k"}})
			conflict, conflicts := errors.AsType[*ConflictError](err)
			if want := test.want; conflicts != (want == errConflict) || !conflicts && !errors.Is(err, want) {
				t.Errorf("error is %v", err)
			}
			if conflicts && (conflict.Conflicts[0].Lone() != (test.target == none) || conflict.Conflicts[0].Values[0].Bytes == 0) {
				t.Errorf("%v", conflict)
			}
			told := ""
			if test.errand == brings && test.decide == SourceWins {
				told = "WATCH k, MULTI, RESTORE-ASKING k 0 " + one + " REPLACE, EXEC"
			}
			if got := changes(w.toSource.sent); got != test.source2 || migrates(w.toCarrier.sent) != test.carrier || changes(w.toTarget.sent) != told {
				t.Errorf("the source was told %q and %q, the target %q", got, w.toCarrier.sent, w.toTarget.sent)
			}
			if got := fmt.Sprint(w.tally.equal.Load(), w.tally.given.Load()); got != test.tally {
				t.Errorf("%s were counted", got)
			}
		})
	}
}

// errConflict stands for any conflict.
var errConflict = errors.New("conflict")

// stored is a value, or none, of every key at a node.
func stored(at map[string]driver.Reply, dump string) {
	at["DUMP"], at["PTTL"], at["TYPE"] = driver.Reply{Value: dump}, driver.Reply{Value: int64(-1)}, driver.Reply{Value: "string"}
	at["GET"] = driver.Reply{Value: dump}
	if dump == "" {
		at["DUMP"], at["PTTL"], at["GET"] = driver.Reply{}, driver.Reply{Value: int64(-2)}, driver.Reply{}
	}
}

// changes are the commands that do not only read.
func changes(sent []string) string {
	var out []string
	for _, text := range sent {
		if kind, _, _ := strings.Cut(text, " "); !strings.Contains(" ASKING DUMP PTTL TYPE GET SELECT ", " "+kind+" ") {
			out = append(out, text)
		}
	}
	return strings.Join(out, ", ")
}

// TestOvertaken: a key that somebody made or took away between two looks is looked
// at again.
func TestOvertaken(t *testing.T) {
	for text, again := range map[string]bool{
		"ERR Target instance replied with error: BUSYKEY": true, "ASK 7 10.0.0.2:7000": true, "EXECABORT": true, "ERR syntax": false,
	} {
		if err := overtaken(&driver.ServerError{Text: text}); errors.Is(err, errLookAgain) != again {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := overtaken(nil); err != nil {
		t.Error(err)
	}
}

// TestDropLosers: the value that was decided against is deleted as it was when that
// was decided, or not at all.
func TestDropLosers(t *testing.T) {
	const dump = "\x00one"
	read, _ := value(driver.Reply{Value: dump}, driver.Reply{Value: int64(-1)}, driver.Reply{Value: "string"})
	all := "WATCH k, MULTI, DEL k, EXEC"
	for name, test := range map[string]struct {
		errand  errand
		change  func(v *Value) // of what it was
		command string
		reply   driver.Reply
		want    string // what the source is told
		again   bool
		fails   bool
	}{
		"as it was":               {moves, nil, "", driver.Reply{}, all, false, false},
		"of another length":       {moves, func(v *Value) { v.Bytes++ }, "", driver.Reply{}, "WATCH k", true, true},
		"another":                 {moves, func(v *Value) { v.Digest = "other" }, "", driver.Reply{}, "WATCH k", true, true},
		"with another lifetime":   {moves, func(v *Value) { v.TTL = 100 }, "", driver.Reply{}, "WATCH k", true, true},
		"gone":                    {moves, nil, "DUMP", driver.Reply{}, "WATCH k", true, true},
		"moved":                   {moves, nil, "WATCH", refused("ASK 7 10.0.0.2:7000"), "WATCH k", true, true},
		"nobody can watch":        {moves, nil, "WATCH", refused("ERR"), "WATCH k", false, true},
		"nobody can read":         {moves, nil, "DUMP", refused("ERR"), "WATCH k", false, true},
		"written to in the end":   {moves, nil, "EXEC", driver.Reply{}, all, true, true},
		"moved in the end":        {moves, nil, "DEL", refused("ASK 7 10.0.0.2:7000"), all, true, true},
		"not deleted":             {moves, nil, "DEL", refused("NOPERM"), all, false, true},
		"refused in the end":      {moves, nil, "EXEC", refused("MISCONF"), all, false, true},
		"not deleted in the end":  {moves, nil, "EXEC", refused("EXECABORT"), all, true, true},
		"on a node that holds it": {brings, func(v *Value) { v.Bytes++ }, "", driver.Reply{}, "DEL k", false, false},
		"and does not delete it":  {brings, nil, "DEL", refused("ERR"), "DEL k", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.errand = test.errand
			stored(w.atSource, dump)
			w.atSource["EXEC"] = listOf("1")
			w.atSource[test.command] = test.reply
			lost := Conflict{Key: "k", Slot: 7, Values: [2]Value{*read}}
			if test.change != nil {
				test.change(&lost.Values[0])
			}
			err := w.dropLosers(t.Context(), batch{slot: 7}, []Conflict{lost})
			if (err != nil) != test.fails || errors.Is(err, errLookAgain) != test.again || changes(w.toSource.sent) != test.want {
				t.Errorf("the source was told %q, error is %v", w.toSource.sent, err)
			}
		})
	}
}

// TestPutWinners: a holder's value takes the place of the owner's as that was when
// it was decided, or not at all, and is the holder's until then.
func TestPutWinners(t *testing.T) {
	const winner, loser = "\x00one", "\x00other"
	read, _ := value(driver.Reply{Value: loser}, driver.Reply{Value: int64(-1)}, driver.Reply{Value: "string"})
	all := "WATCH k, MULTI, RESTORE-ASKING k 0 " + winner + " REPLACE, EXEC"
	for name, test := range map[string]struct {
		at      string
		command string
		reply   driver.Reply
		want    string // what the owner is told
		again   bool
		fails   bool
	}{
		"as it was":              {"", "", driver.Reply{}, all, false, false},
		"written to":             {"target", "DUMP", driver.Reply{Value: "\x00third"}, "WATCH k", true, true},
		"deleted":                {"target", "DUMP", driver.Reply{}, "WATCH k", true, true},
		"with another lifetime":  {"target", "PTTL", driver.Reply{Value: int64(100)}, "WATCH k", true, true},
		"written to in the end":  {"target", "EXEC", driver.Reply{}, all, true, true},
		"nobody can watch":       {"target", "WATCH", refused("NOPERM"), "WATCH k", false, true},
		"not taken":              {"target", "RESTORE-ASKING", refused("OOM"), all, false, true},
		"not taken in the end":   {"target", "EXEC", driver.Reply{Value: []any{&driver.ServerError{Text: "OOM"}}}, all, false, true},
		"gone at the holder":     {"source", "DUMP", driver.Reply{}, "", true, true},
		"its lifetime is hidden": {"source", "PTTL", refused("NOPERM"), "", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.errand = brings
			stored(w.atSource, winner)
			stored(w.atTarget, loser)
			w.atTarget["EXEC"] = listOf("OK")
			map[string]map[string]driver.Reply{"source": w.atSource, "target": w.atTarget, "": {}}[test.at][test.command] = test.reply
			won := Conflict{Key: "k", Slot: 7, Values: [2]Value{{}, *read}}
			err := w.putWinners(t.Context(), batch{slot: 7}, []Conflict{won})
			if (err != nil) != test.fails || errors.Is(err, errLookAgain) != test.again || changes(w.toTarget.sent) != test.want {
				t.Errorf("the owner was told %q, error is %v", w.toTarget.sent, err)
			}
			if dropped := changes(w.toSource.sent) != ""; dropped == test.fails {
				t.Errorf("the holder was told %q", w.toSource.sent)
			}
		})
	}
}

// TestSorted: what becomes of a key is what was decided about it.
func TestSorted(t *testing.T) {
	for _, w := range []Winner{SourceWins, TargetWins, NoWinner} {
		var found comparison
		found.lone(Conflict{Key: "lone"}, w)
		found.differing(Conflict{Key: "differs"}, w)
		want := map[Winner]string{
			SourceWins: "missing [lone], wins [differs], given [], loses 0, conflicts 0",
			TargetWins: "missing [], wins [], given [lone], loses 1, conflicts 0",
			NoWinner:   "missing [], wins [], given [], loses 0, conflicts 2",
		}[w]
		if got := fmt.Sprintf("missing %v, wins %v, given %v, loses %d, conflicts %d",
			found.missing, keysIn(found.sourceWins), found.given, len(found.targetWins), len(found.conflicts)); got != want {
			t.Errorf("%q: %s", w, got)
		}
	}
}

// TestDropEqual: a source that migrates sends its copy once more, which clients may
// have changed; a node that only holds one deletes it, and never sends it to the
// owner, whose copy clients change.
func TestDropEqual(t *testing.T) {
	for name, test := range map[string]struct {
		errand  errand
		keys    string
		command string // refused
		source  string // what it is told
		carrier string
		fails   bool
	}{
		"a move":                    {moves, "k l", "", "", "REPLACE", false},
		"a move, refused":           {moves, "k l", "MIGRATE", "", "REPLACE", true},
		"a move of nothing":         {moves, "", "", "", "", false},
		"a gathering":               {brings, "k l", "", "ASKING, DEL k, ASKING, DEL l", "", false},
		"a gathering, refused":      {brings, "k l", "DEL", "ASKING, DEL k, ASKING, DEL l", "", true},
		"a gathering of nothing":    {brings, "", "", "", "", false},
		"a gathering, gone already": {brings, "k", "ASKED", "ASKING, DEL k", "", false},
		"a gathering that discards": {wipes, "k", "", "ASKING, DEL k", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.errand = test.errand
			w.atSource[test.command] = refused("ERR")
			if test.command == "ASKED" {
				w.atSource["DEL"] = refused("ASK 7 10.0.0.2:7000")
			}
			err := w.dropEqual(t.Context(), batch{slot: 7}, strings.Fields(test.keys))
			if got := strings.Join(w.toSource.sent, ", "); got != test.source || migrates(w.toCarrier.sent) != test.carrier || (err != nil) != test.fails {
				t.Errorf("the source was told %q and %q, error is %v", got, w.toCarrier.sent, err)
			}
		})
	}
}

// TestValues: a key that is not there is told from one that cannot be read.
func TestValues(t *testing.T) {
	text := func(s string) driver.Reply { return driver.Reply{Value: s} }
	for name, test := range map[string]struct {
		dump, ttl driver.Reply
		want      string
		fails     bool
	}{
		"a value":        {text("\x00v"), driver.Reply{Value: int64(5)}, "string 2 5", false},
		"none":           {driver.Reply{}, driver.Reply{Value: int64(-2)}, "none", false},
		"elsewhere":      {refused("ASK 7 10.0.0.2:7000"), refused("ASK 7 10.0.0.2:7000"), "none", false},
		"not allowed":    {refused("NOPERM"), driver.Reply{Value: int64(5)}, "", true},
		"of no length":   {text(""), driver.Reply{Value: int64(5)}, "", true},
		"of no lifetime": {text("\x00v"), refused("ERR"), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.atSource["DUMP"], w.atSource["PTTL"], w.atSource["TYPE"] = test.dump, test.ttl, text("string")
			values, err := w.values(t.Context(), w.src, batch{slot: 7, keys: []string{"k"}}, nil)
			if (err != nil) != test.fails {
				t.Fatalf("error is %v", err)
			}
			got := "none"
			if err == nil && values[0] != nil {
				got = fmt.Sprint(values[0].Type, " ", values[0].Bytes, " ", values[0].TTL)
			}
			if err == nil && got != test.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestSame: values that do not expire together differ, whatever they hold.
func TestSame(t *testing.T) {
	const lives = 100_000_000 // ms
	for name, test := range map[string]struct {
		source, target *Value
		same           bool
	}{
		"neither expires":    {&Value{Bytes: 2, Digest: "d", TTL: -1}, &Value{Bytes: 2, Digest: "d", TTL: -1}, true},
		"read one by one":    {&Value{Bytes: 2, Digest: "d", TTL: lives}, &Value{Bytes: 2, Digest: "d", TTL: lives - 5}, true},
		"one expires":        {&Value{Bytes: 2, Digest: "d", TTL: 5}, &Value{Bytes: 2, Digest: "d", TTL: -1}, false},
		"the other expires":  {&Value{Bytes: 2, Digest: "d", TTL: -1}, &Value{Bytes: 2, Digest: "d", TTL: 5}, false},
		"one expires later":  {&Value{Bytes: 2, Digest: "d", TTL: lives}, &Value{Bytes: 2, Digest: "d", TTL: lives / 2}, false},
		"only the source's":  {&Value{Bytes: 2, Digest: "d", TTL: -1}, nil, false},
		"only the target's":  {nil, &Value{Bytes: 2, Digest: "d", TTL: -1}, false},
		"of one length":      {&Value{Bytes: 2, Digest: "d", TTL: -1, form: 15}, &Value{Bytes: 2, Digest: "e", TTL: -1, form: 15}, false},
		"of different forms": {&Value{Bytes: 2, Digest: "d", TTL: -1, form: 0}, &Value{Bytes: 3, Digest: "d", TTL: -1, form: 15}, false},
	} {
		t.Run(name, func(t *testing.T) {
			same, err := wire(t).same(t.Context(), 0, "k", test.source, test.target)
			if same != test.same || err != nil {
				t.Errorf("same %v, error is %v", same, err)
			}
		})
	}
}
