package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pflag's own numbers accept 0x10, 1_000 and +5; these do not.

// number is a flag of plain decimal digits within bounds.
type number struct {
	value    *int
	min, max int
}

func (n number) Set(s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || strings.Trim(s, "0123456789") != "" || v < n.min || v > n.max {
		return fmt.Errorf("want a number from %d to %d", n.min, n.max)
	}
	*n.value = v
	return nil
}

func (n number) String() string {
	if n.value == nil || *n.value == 0 {
		return ""
	}
	return strconv.Itoa(*n.value)
}

func (n number) Type() string { return "N" }

// span is a flag for a time longer than none: 90s, 1m30s and, where a bare
// number has a unit, such a number.
type span struct {
	value *time.Duration
	bare  time.Duration // the unit of a bare number; 0 where it needs one
}

func (d span) Set(s string) error {
	v, ok := d.parse(s)
	if !ok || v <= 0 {
		return fmt.Errorf("want %s", d.wanted())
	}
	*d.value = v
	return nil
}

func (d span) parse(s string) (time.Duration, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	if d.bare == time.Second && strings.Trim(s, "0123456789.") == "" {
		s += "s" // redis-cli's seconds may have decimals
	}
	if strings.Trim(s, "0123456789") != "" {
		v, err := time.ParseDuration(s)
		return v, err == nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return time.Duration(n) * d.bare, err == nil
}

func (d span) wanted() string {
	switch d.bare {
	case time.Millisecond:
		return "milliseconds or a time such as 5s, longer than 0"
	case time.Second:
		return "seconds or a time such as 500ms, longer than 0"
	}
	return "a time such as 90s or 2m, longer than 0"
}

func (d span) String() string {
	if d.value == nil || *d.value == 0 {
		return ""
	}
	return d.value.String()
}

func (d span) Type() string {
	if d.bare == time.Millisecond {
		return "MS"
	}
	return "TIME"
}

// choice is a flag with a fixed set of words.
type choice[T ~string] struct {
	value *T
	words []string
}

func (c choice[T]) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return fmt.Errorf("want %s", strings.Join(c.words, ", "))
	}
	*c.value = T(s)
	return nil
}

func (c choice[T]) String() string {
	if c.value == nil {
		return ""
	}
	return string(*c.value)
}

func (c choice[T]) Type() string { return strings.Join(c.words, "|") }

// names is a flag with names separated by commas; it may be given several
// times.
type names struct{ value *[]string }

func (n names) Set(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		if name = strings.TrimSpace(name); name == "" {
			return fmt.Errorf("want node names separated by commas")
		}
		*n.value = append(*n.value, name)
	}
	return nil
}

func (n names) String() string {
	if n.value == nil {
		return ""
	}
	return strings.Join(*n.value, ",")
}

func (n names) Type() string { return "NODE,NODE" }

// size is a flag for an amount of memory: bytes, or with a unit of 1024 such as
// 64K, 20M, 1G.
type size struct{ value *int64 }

func (n size) Set(s string) error {
	digits := strings.TrimRight(s, "kKmMgG")
	unit := strings.Index("kmg", strings.ToLower(s[len(digits):]))
	v, err := strconv.ParseInt(digits, 10, 64)
	shift := 0
	if len(s) > len(digits) {
		shift = 10 * (unit + 1)
	}
	if err != nil || strings.Trim(digits, "0123456789") != "" || v < 1 || v > mostBytes>>shift || len(s)-len(digits) > 1 {
		return errors.New("want an amount of memory such as 500000, 64K, 20M or 1G")
	}
	*n.value = v << shift
	return nil
}

func (n size) String() string {
	if n.value == nil || *n.value == 0 {
		return ""
	}
	return strconv.FormatInt(*n.value, 10)
}

func (n size) Type() string { return "BYTES" }

// mostBytes is more memory than there is, and leaves room to count in.
const mostBytes = 1 << 50

// words is a flag with words of a fixed set, separated by commas.
type words struct {
	value *[]string
	known []string
}

func (w words) Set(s string) error {
	for word := range strings.SplitSeq(s, ",") {
		if !slices.Contains(w.known, word) {
			return fmt.Errorf("want %s", strings.Join(w.known, ", "))
		}
		*w.value = append(*w.value, word)
	}
	return nil
}

func (w words) String() string {
	if w.value == nil {
		return ""
	}
	return strings.Join(*w.value, ",")
}

func (w words) Type() string { return strings.Join(w.known, ",") }

// pairs is a flag of the form HOST=NAME that may be given several times.
type pairs struct{ values map[string]string }

func (p pairs) Set(s string) error {
	host, name, ok := strings.Cut(s, "=")
	if !ok || host == "" || name == "" {
		return fmt.Errorf("want HOST=NAME")
	}
	if before, twice := p.values[host]; twice && before != name {
		return fmt.Errorf("%s is in %s already", host, before)
	}
	p.values[host] = name
	return nil
}

func (p pairs) String() string { return "" }

func (p pairs) Type() string { return "HOST=NAME" }
