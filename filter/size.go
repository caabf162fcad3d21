package filter

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes in a filter's settings, in the notation of the configuration language: 1KiB, 10MiB, or a
// plain number of bytes. It is whole and not negative.
type Size int64

var errSize = errors.New("a size is a whole number and B, KiB, MiB or GiB: 64KiB")

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, shift := string(text), 0
	for suffix, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if n, ok := strings.CutSuffix(number, suffix); ok {
			number, shift = n, bits
			break
		}
	}
	if shift == 0 {
		number = strings.TrimSuffix(number, "B")
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return errSize
	}
	*s = Size(n) << shift
	return nil
}

// MarshalText writes the size in the largest unit that fits it exactly.
func (s Size) MarshalText() ([]byte, error) {
	for _, unit := range []struct {
		suffix string
		bits   int
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if s != 0 && s%(1<<unit.bits) == 0 {
			return []byte(strconv.FormatInt(int64(s>>unit.bits), 10) + unit.suffix), nil
		}
	}
	return []byte(strconv.FormatInt(int64(s), 10)), nil
}
