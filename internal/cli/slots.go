package cli

import (
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// slotList is a flag with slots and ranges of slots; it may be given several
// times.
type slotList struct{ value *cluster.SlotSet }

func (l slotList) Set(s string) error {
	set, err := cluster.ParseSlotSet(s)
	if err != nil {
		return err
	}
	if set.Empty() {
		return fmt.Errorf("want slots such as 5,7,100-200")
	}
	*l.value = l.value.Union(set)
	return nil
}

func (l slotList) String() string {
	if l.value == nil {
		return ""
	}
	return l.value.String()
}

func (l slotList) Type() string { return "SLOTS" }

// texts is a flag that may be given several times, each with any text.
type texts struct{ value *[]string }

func (w texts) Set(s string) error {
	*w.value = append(*w.value, s)
	return nil
}

func (w texts) String() string {
	if w.value == nil {
		return ""
	}
	return strings.Join(*w.value, " ")
}

func (w texts) Type() string { return "KEY" }

// decimal is a flag with up to six decimal places.
type decimal struct {
	value *plan.Decimal
	max   plan.Decimal
}

func (d decimal) Set(s string) error {
	v, err := plan.ParseDecimal(s)
	if err != nil || v > d.max {
		return fmt.Errorf("want a number from 0 to %s, with up to six decimal places", d.max)
	}
	*d.value = v
	return nil
}

func (d decimal) String() string {
	if d.value == nil {
		return ""
	}
	return d.value.String()
}

func (d decimal) Type() string { return "PERCENT" }

// weight is NODE=WEIGHT.
type weight struct {
	node  string
	value plan.Decimal
}

// weights is a flag that may be given several times, and several times after
// one name of it: --weight a=1 b=2.
type weights struct{ value *[]weight }

func (w weights) Set(s string) error {
	i := strings.LastIndexByte(s, '=')
	if i < 1 {
		return fmt.Errorf("want NODE=WEIGHT")
	}
	v, err := plan.ParseDecimal(s[i+1:])
	if err != nil || v > plan.MaxWeight {
		return fmt.Errorf("want NODE=WEIGHT, a weight from 0 to %s with up to six decimal places", plan.MaxWeight)
	}
	*w.value = append(*w.value, weight{s[:i], v})
	return nil
}

func (w weights) String() string {
	if w.value == nil {
		return ""
	}
	parts := make([]string, len(*w.value))
	for i, one := range *w.value {
		parts[i] = one.node + "=" + one.value.String()
	}
	return strings.Join(parts, " ")
}

func (w weights) Type() string { return "NODE=W" }

// Continues reports whether a word is one more value of the flag before it. A
// URL is not: its password may hold a '='.
func (w weights) Continues(word string) bool { return isPair(word) }

func isPair(word string) bool {
	return strings.Contains(word, "=") && !strings.HasPrefix(word, "-") && !strings.Contains(word, "://")
}
