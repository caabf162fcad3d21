package config

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// Size is a number of bytes: "64KiB", "10MiB", "1GiB", or a plain number of bytes.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

var errSize = errors.New("a size is a number and KiB, MiB, GiB or TiB: 64KiB")

// ParseSize reads a size. Negative ones and those beyond 2^63-1 are errors; fractions must come out as whole bytes.
func ParseSize(s string) (Size, error) {
	number, factor := s, int64(1)
	for _, unit := range sizeUnits {
		if n, ok := strings.CutSuffix(s, unit.suffix); ok {
			number, factor = n, unit.bytes
			break
		}
	}
	if !decimalDigits(number) {
		return 0, errSize
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, errSize
	}
	r.Mul(r, new(big.Rat).SetInt64(factor))
	if !r.IsInt() {
		return 0, errors.New("a size is a whole number of bytes")
	}
	if !r.Num().IsInt64() {
		return 0, errors.New("a size is less than 8 EiB")
	}
	return Size(r.Num().Int64()), nil
}

// decimalDigits accepts 12 and 1.5, but no sign, exponent or separator, and not more digits than a size can have.
func decimalDigits(s string) bool {
	whole, fraction, hasPoint := strings.Cut(s, ".")
	digits := func(s string) bool {
		return s != "" && len(s) <= 19 && strings.Trim(s, "0123456789") == ""
	}
	return digits(whole) && (!hasPoint || digits(fraction))
}

// String writes the size in the largest unit that fits it exactly.
func (s Size) String() string {
	for _, unit := range []int{3, 2, 1, 0} {
		if u := sizeUnits[unit]; s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes what ParseSize reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSize.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}
