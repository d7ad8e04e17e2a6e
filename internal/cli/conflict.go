package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/move"
)

// conflictOptions decide which of two differing values of a key stays. Nothing
// is decided unless they say so.
type conflictOptions struct {
	all    string // conflictList, or a word of rules
	single decisions
}

const conflictList = "list"

func (o *conflictOptions) addFlags(f *pflag.FlagSet) {
	o.all = conflictList
	o.single.rules = make(map[keyName]string)
	words := append([]string{conflictList}, rules()...)
	f.Var(choice[string]{&o.all, words}, "conflict", "whose value stays of keys that have two: source is where they come from; newer-ttl is what expires later")
	f.Var(&o.single, "conflict-for", "whose value stays of one key, as with --conflict; or @FILE with such lines")
}

// rules are the words that decide.
func rules() []string { return []string{"source", "target", "newer-ttl"} }

// decided is what a rule says of a conflict.
func decided(rule string, c move.Conflict) move.Winner {
	switch rule {
	case "source":
		return move.SourceWins
	case "target":
		return move.TargetWins
	case "newer-ttl":
		return move.NewerTTL(c)
	}
	return move.NoWinner
}

// decide is nil where everything is left to people. What is said of all keys with
// two values is not said of those with one, which would be lost.
func (o *conflictOptions) decide() move.Decide {
	if o.all == conflictList && len(o.single.rules) == 0 {
		return nil
	}
	return func(c move.Conflict) move.Winner {
		if rule, ok := o.single.rules[keyName{c.DB, c.Key}]; ok {
			return decided(rule, c)
		}
		if c.Lone() {
			return move.NoWinner
		}
		return decided(o.all, c)
	}
}

// keyName is a key in one of a server's databases.
type keyName struct {
	db  int
	key string
}

// parseKey reads a key as it is, or in Go's quotes, which can spell any bytes; a
// number before these is that of its database.
func parseKey(s string) (keyName, error) {
	db, quoted, ok := cutQuoted(s)
	if !ok {
		return keyName{0, s}, nil
	}
	key, err := strconv.Unquote(quoted)
	if err != nil {
		return keyName{}, fmt.Errorf("%.80s is not a key in quotes", s)
	}
	return keyName{db, key}, nil
}

// cutQuoted cuts a key in quotes off the database before it.
func cutQuoted(s string) (db int, quoted string, ok bool) {
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	rest := s[len(digits):]
	if digits == "" {
		return 0, s, strings.HasPrefix(s, `"`)
	}
	db, err := strconv.Atoi(digits)
	return db, strings.TrimPrefix(rest, ":"), err == nil && strings.HasPrefix(rest, `:"`)
}

// String spells a key so that parseKey reads it.
func (k keyName) String() string {
	_, _, likeQuoted := cutQuoted(k.key)
	plain := utf8.ValidString(k.key) && ui.Safe(k.key) == k.key && !strings.HasPrefix(k.key, "@") && !likeQuoted
	if k.db == 0 && plain {
		return k.key
	}
	quoted := strconv.Quote(k.key)
	if k.db == 0 {
		return quoted
	}
	return fmt.Sprintf("%d:%s", k.db, quoted)
}

// decisions is a flag KEY=RULE that may be given several times.
type decisions struct {
	rules map[keyName]string
	given []string
}

// Set takes one decision, or those of a file.
func (d *decisions) Set(s string) error {
	d.given = append(d.given, s)
	path, isFile := strings.CutPrefix(s, "@")
	if !isFile {
		return d.add(s)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		if err := d.add(line); err != nil {
			return fmt.Errorf("%s, line %d: %w", path, number, err)
		}
	}
	return nil
}

func (d *decisions) add(s string) error {
	at := strings.LastIndexByte(s, '=')
	if at < 0 {
		return errors.New("want KEY=source, KEY=target, KEY=newer-ttl or @FILE")
	}
	key, err := parseKey(s[:at])
	if err != nil {
		return err
	}
	var rule string
	if err := (choice[string]{&rule, rules()}).Set(s[at+1:]); err != nil {
		return err
	}
	if before, twice := d.rules[key]; twice && before != rule {
		return fmt.Errorf("key %s is decided already: %s", key, before)
	}
	d.rules[key] = rule
	return nil
}

// String is for the journal.
func (d *decisions) String() string { return strings.Join(d.given, " ") }

// Type is how the help calls a value.
func (d *decisions) Type() string { return "KEY=WHOSE" }

// conflictFlag is the argument that decides a conflict.
func conflictFlag(c move.Conflict, w move.Winner) string {
	return fmt.Sprintf("--conflict-for=%s=%s", keyName{c.DB, c.Key}, w)
}

// inShell quotes an argument for a shell.
func inShell(arg string) string { return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'" }

// conflictsTold is how many conflicts are told to people; JSON has them all.
const conflictsTold = 50

// conflictReasons tells of each conflict what decides it.
func conflictReasons(conflicts []move.Conflict) []string {
	var texts []string
	for _, c := range conflicts[:min(len(conflicts), conflictsTold)] {
		texts = append(texts, fmt.Sprintf("%s: %s keeps the first one, =target the second", c, inShell(conflictFlag(c, move.SourceWins))))
	}
	if more := len(conflicts) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more, which -o json lists", more))
	}
	return texts
}

// conflictsIn are the conflicts as data.
func conflictsIn(e *move.ConflictError) []ui.Conflict {
	var out []ui.Conflict
	for _, c := range e.Conflicts {
		out = append(out, ui.Conflict{Conflict: c, Flags: map[move.Winner]string{
			move.SourceWins: conflictFlag(c, move.SourceWins), move.TargetWins: conflictFlag(c, move.TargetWins),
		}})
	}
	return out
}

// conflictHint is how to decide; resume is what finishes the run afterwards.
func conflictHint(e *move.ConflictError, seed, resume string) string {
	lone, differing := false, false
	for _, c := range e.Conflicts {
		lone, differing = lone || c.Lone(), differing || !c.Lone()
	}
	hint := fmt.Sprintf("trib fix %s with the --conflict-for of each key", seed)
	if differing {
		hint += ", or with --conflict source, target or newer-ttl for all"
	}
	if lone {
		hint += ", or with --foreign-keys adopt or discard for those that the owner lacks"
	}
	return hint + "; or delete the wrong ones on their node, then: " + resume
}
