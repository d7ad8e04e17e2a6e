package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// Decimal is a number of at least 0 with up to six decimal places, counted in
// millionths: 1.5 is 1500000. Weights and percentages are decimals and not
// floats, so that 0.1 and 0.3 share exactly like 1 and 3.
type Decimal int64

// One is 1; within the bounds the arithmetic of the planners is exact.
const (
	One = Decimal(1_000_000)

	MaxWeight        = 1_000_000 * One
	MaxThreshold     = 100 * One
	DefaultThreshold = 2 * One
)

// ParseDecimal reads "2", "0.5" or "1.000001", and nothing that needs rounding.
func ParseDecimal(s string) (Decimal, error) {
	whole, fraction, dot := strings.Cut(s, ".")
	if dot && fraction == "" || len(fraction) > 6 || len(whole) > 9 || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, notDecimal(s)
	}
	n, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
	if err != nil || whole == "" {
		return 0, notDecimal(s)
	}
	return Decimal(n), nil
}

func notDecimal(s string) error {
	return fmt.Errorf("%.20q: want a number such as 2 or 0.5, with up to six decimal places", s)
}

// String is the shortest form that ParseDecimal reads.
func (d Decimal) String() string {
	text := fmt.Sprintf("%d.%06d", d/One, d%One)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// Fixed has two decimal places, as redis-cli prints weights and thresholds; more
// are rounded.
func (d Decimal) Fixed() string {
	hundredths := (d + One/200) / (One / 100)
	return fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
}
