package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// Decimal is a number of at least 0 with up to three decimal places, counted
// in thousandths: 1.5 is 1500. Weights and percentages are decimals and not
// floats, so that 0.1 and 0.3 share exactly like 1 and 3.
type Decimal int64

// The bounds within which the arithmetic of the planners is exact.
const (
	one = Decimal(1000)

	MaxWeight        = 1_000_000 * one
	MaxThreshold     = 100 * one
	DefaultThreshold = 2 * one
)

// ParseDecimal reads "2", "0.5" or "1.125", and nothing that needs rounding.
func ParseDecimal(s string) (Decimal, error) {
	whole, fraction, dot := strings.Cut(s, ".")
	if dot && fraction == "" || len(fraction) > 3 || len(whole) > 9 || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, notDecimal(s)
	}
	n, err := strconv.ParseInt(whole+(fraction + "000")[:3], 10, 64)
	if err != nil || whole == "" {
		return 0, notDecimal(s)
	}
	return Decimal(n), nil
}

func notDecimal(s string) error {
	return fmt.Errorf("%.20q: want a number such as 2 or 0.5, with up to three decimal places", s)
}

// String is the shortest form that ParseDecimal reads.
func (d Decimal) String() string {
	text := fmt.Sprintf("%d.%03d", d/one, d%one)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// Fixed has two decimal places, as redis-cli prints weights and thresholds; a
// third one is rounded.
func (d Decimal) Fixed() string {
	hundredths := (d + 5) / 10
	return fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
}
