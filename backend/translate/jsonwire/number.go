package jsonwire

import (
	"bytes"
	"strconv"
)

// integer brings a JSON number to an integer's plain digits: 1.50e1 is 15. ok is false if it is none, or has more digits
// than any integer of 64 bits. Nearly always the number is plain already, and returned as it is.
func integer(n []byte) (plain []byte, ok bool) {
	sign := n[:0]
	if n[0] == '-' {
		sign = n[:1]
	}
	if whole := n[len(sign):]; digits(whole) == len(whole) {
		return n, true
	}
	n = n[len(sign):]
	exponent := 0
	if i := bytes.IndexAny(n, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(string(n[i+1:])); err != nil {
			exponent = 1 << 20 // beyond any integer, unless all digits are zero
			if n[i+1] == '-' {
				exponent = -exponent
			}
		}
		n = n[:i]
	}
	whole, fraction, _ := bytes.Cut(n, []byte("."))
	fraction = bytes.TrimRight(fraction, "0")
	significant := append(bytes.Clone(whole), fraction...)
	if len(bytes.Trim(significant, "0")) == 0 {
		return []byte("0"), true
	}
	exponent -= len(fraction)
	for ; exponent < 0; exponent++ {
		last := len(significant) - 1
		if last < 0 || significant[last] != '0' {
			return nil, false
		}
		significant = significant[:last]
	}
	if significant = bytes.TrimLeft(significant, "0"); len(significant)+exponent > 20 {
		return nil, false
	}
	return append(append(bytes.Clone(sign), significant...), bytes.Repeat([]byte("0"), exponent)...), true
}

func parseInt(n []byte, size int) (int64, bool) {
	n, ok := integer(n)
	if !ok {
		return 0, false
	}
	if len(n) < 10 { // fits whatever the size
		v, negative := int64(0), false
		for i, c := range n {
			if i == 0 && c == '-' {
				negative = true
				continue
			}
			v = v*10 + int64(c-'0')
		}
		if negative {
			v = -v
		}
		return v, true
	}
	v, err := strconv.ParseInt(string(n), 10, size)
	return v, err == nil
}

func parseUint(n []byte, size int) (uint64, bool) {
	n, ok := integer(n)
	if !ok {
		return 0, false
	}
	if n[0] == '-' {
		return 0, len(bytes.Trim(n, "-0")) == 0
	}
	v, err := strconv.ParseUint(string(n), 10, size)
	return v, err == nil
}
