package xsd

import (
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is what the text of a simple type is, and so what it is in JSON.
type Kind uint8

const (
	Text    Kind = iota // a JSON string
	Boolean             // true, false
	Decimal             // a JSON number, its digits kept
	Integer             // a Decimal without a fraction
	Float               // a JSON number, or "INF", "-INF", "NaN"
	Any                 // any JSON scalar in, a string out
	List                // a JSON list of Item
	Union               // the first of Members that takes it
)

// A Simple is a simple type.
type Simple struct {
	Name    xml.Name // the nearest type that has one
	Kind    Kind
	Builtin string // the built-in type that it comes from: dateTime
	Item    *Simple
	Members []*Simple

	Enum     []string
	Patterns [][]*regexp.Regexp // one of each must match
	Length   int                // -1: any, as the next
	MinLen   int
	MaxLen   int
	Least    string // in digits, empty: none
	Most     string
	LeastOut bool // Least itself is too little
	MostOut  bool
	Digits   int // -1: any
	Fraction int

	collapse bool // white space at the ends is no part of it
	lexical  func(string) bool
}

// Check says why text is no value of the type, in words that follow the name of a field.
func (s *Simple) Check(text string) error {
	switch s.Kind {
	case List:
		return s.checkList(text)
	case Union:
		return s.checkUnion(text)
	}
	if s.collapse {
		text = strings.Trim(text, " \t\r\n")
	}
	if err := s.checkKind(text); err != nil {
		return err
	}
	return s.checkFacets(text, utf8.RuneCountInString(text))
}

// Trim is text without what its type does not count.
func (s *Simple) Trim(text string) string {
	if s.collapse {
		return strings.Trim(text, " \t\r\n")
	}
	return text
}

// MemberFor is the type that text is of: of a union the first member that takes it, else s itself.
func (s *Simple) MemberFor(text string) *Simple {
	if s.Kind != Union {
		return s
	}
	for _, m := range s.Members {
		if m.Check(text) == nil {
			return m.MemberFor(text)
		}
	}
	return s
}

func (s *Simple) checkList(text string) error {
	items := strings.Fields(text)
	for _, item := range items {
		if err := s.Item.Check(item); err != nil {
			return err
		}
	}
	return s.checkFacets(strings.Join(items, " "), len(items))
}

func (s *Simple) checkUnion(text string) error {
	for _, m := range s.Members {
		if m.Check(text) == nil {
			return s.checkFacets(text, -1)
		}
	}
	return errors.New("is none of the types that it may be")
}

func (s *Simple) checkKind(text string) error {
	ok := true
	switch s.Kind {
	case Boolean:
		ok = text == "true" || text == "false" || text == "1" || text == "0"
	case Integer:
		_, ok = parseDecimal(text, false)
	case Decimal:
		_, ok = parseDecimal(text, true)
	case Float:
		ok = isFloat(text)
	default:
		ok = s.lexical == nil || s.lexical(text)
	}
	if !ok {
		return fmt.Errorf("`%s` is no %s", clip(text), s.Builtin)
	}
	return nil
}

// isFloat is XML Schema's notation: no hexadecimal, no underscores, infinity written INF.
func isFloat(text string) bool {
	if text == "INF" || text == "-INF" || text == "NaN" || text == "+INF" {
		return true
	}
	mantissa, exponent, hasExponent := strings.Cut(strings.Replace(text, "E", "e", 1), "e")
	if hasExponent {
		if _, err := strconv.ParseInt(exponent, 10, 32); err != nil {
			return false
		}
	}
	_, ok := parseDecimal(mantissa, true)
	return ok
}

func (s *Simple) checkFacets(text string, length int) error {
	if s.Enum != nil && !slices.Contains(s.Enum, text) {
		return fmt.Errorf("`%s` is not one of %s", clip(text), clip(strings.Join(s.Enum, ", ")))
	}
	if length >= 0 {
		if err := s.checkLength(text, length); err != nil {
			return err
		}
	}
	for _, any := range s.Patterns {
		if !slices.ContainsFunc(any, func(r *regexp.Regexp) bool { return r.MatchString(text) }) {
			return fmt.Errorf("`%s` does not match the pattern of its type", clip(text))
		}
	}
	if s.Kind == Decimal || s.Kind == Integer || s.Kind == Float {
		return s.checkBounds(text)
	}
	return nil
}

func (s *Simple) checkLength(text string, length int) error {
	switch s.Builtin {
	case "base64Binary":
		length = base64Length(text)
	case "hexBinary":
		length = len(text) / 2
	}
	switch {
	case s.Length >= 0 && length != s.Length:
		return fmt.Errorf("has the length %d instead of %d", length, s.Length)
	case s.MinLen >= 0 && length < s.MinLen:
		return fmt.Errorf("has the length %d, less than %d", length, s.MinLen)
	case s.MaxLen >= 0 && length > s.MaxLen:
		return fmt.Errorf("has the length %d, more than %d", length, s.MaxLen)
	}
	return nil
}

func base64Length(text string) int {
	n := 0
	for i := range len(text) {
		if c := text[i]; c != '=' && c > ' ' {
			n++
		}
	}
	return n * 3 / 4
}

func (s *Simple) checkBounds(text string) error {
	if s.Least != "" {
		if c := compareNumbers(text, s.Least); c < 0 || c == 0 && s.LeastOut {
			return fmt.Errorf("`%s` is less than a %s may be", clip(text), s.shown())
		}
	}
	if s.Most != "" {
		if c := compareNumbers(text, s.Most); c > 0 || c == 0 && s.MostOut {
			return fmt.Errorf("`%s` is more than a %s may be", clip(text), s.shown())
		}
	}
	if s.Digits < 0 && s.Fraction < 0 {
		return nil
	}
	d, _ := parseDecimal(text, true)
	if s.Digits >= 0 && len(d.whole)+len(d.fraction) > s.Digits {
		return fmt.Errorf("`%s` has more than %d digits", clip(text), s.Digits)
	}
	if s.Fraction >= 0 && len(d.fraction) > s.Fraction {
		return fmt.Errorf("`%s` has more than %d digits after the point", clip(text), s.Fraction)
	}
	return nil
}

func (s *Simple) shown() string {
	if s.Name.Local != "" {
		return s.Name.Local
	}
	return s.Builtin
}

// decimal is a number taken apart, without the zeros that do not count.
type decimal struct {
	negative        bool
	whole, fraction string
}

func parseDecimal(text string, fraction bool) (d decimal, ok bool) {
	if text != "" && (text[0] == '+' || text[0] == '-') {
		d.negative = text[0] == '-'
		text = text[1:]
	}
	whole, part, point := strings.Cut(text, ".")
	if point && !fraction || whole == "" && part == "" || !digitsOnly(whole) || !digitsOnly(part) {
		return decimal{}, false
	}
	d.whole, d.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(part, "0")
	d.negative = d.negative && (d.whole != "" || d.fraction != "")
	return d, true
}

func digitsOnly(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// compareNumbers compares by digits, however many; what is not plain digits as floating point.
func compareNumbers(a, b string) int {
	x, okX := parseDecimal(a, true)
	y, okY := parseDecimal(b, true)
	if !okX || !okY {
		return compareFloats(a, b)
	}
	if x.negative != y.negative {
		if x.negative {
			return -1
		}
		return 1
	}
	c := x.compareSize(y)
	if x.negative {
		return -c
	}
	return c
}

func (d decimal) compareSize(o decimal) int {
	if len(d.whole) != len(o.whole) {
		if len(d.whole) < len(o.whole) {
			return -1
		}
		return 1
	}
	if c := strings.Compare(d.whole, o.whole); c != 0 {
		return c
	}
	return strings.Compare(d.fraction, o.fraction)
}

func compareFloats(a, b string) int {
	x, y := floatOf(a), floatOf(b)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func floatOf(text string) float64 {
	f, _ := strconv.ParseFloat(text, 64) // out of range is an infinity, which compares rightly
	return f
}

// AppendNumber writes a number of the schema as one of JSON, with all its digits. false: JSON has no such number.
func AppendNumber(b []byte, text string) ([]byte, bool) {
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i:]
	}
	negative := strings.HasPrefix(mantissa, "-")
	mantissa = strings.TrimLeft(mantissa, "+-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole == "" && fraction == "" || !digitsOnly(whole) || !digitsOnly(fraction) {
		return b, false
	}
	if negative {
		b = append(b, '-')
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	b = append(b, whole...)
	if fraction != "" {
		b = append(append(b, '.'), fraction...)
	}
	return append(b, exponent...), true
}
