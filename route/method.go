package route

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// methods is a set of methods; the zero value, no methods named, takes them all.
type methods struct {
	common uint16   // bits of commonMethods
	others []string // those without a bit
}

var commonMethods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

const getBit, headBit = 1 << 0, 1 << 1

// methodBit is the bit of a common method, or 0.
func methodBit(name string) uint16 {
	for i := range commonMethods {
		if commonMethods[i] == name {
			return 1 << i
		}
	}
	return 0
}

// maxMethod is the length of the longest method name a rule can have.
const maxMethod = 64

func (m *methods) add(name string) error {
	switch {
	case name == http.MethodConnect, name == http.MethodTrace:
		return fmt.Errorf("%s is never routed: the gateway answers it with 405", name)
	case name == "*":
		return fmt.Errorf("leave methods out to take them all")
	case name != strings.ToUpper(name) && methodBit(strings.ToUpper(name)) != 0:
		return fmt.Errorf("methods are case-sensitive: write %s", strings.ToUpper(name))
	case len(name) > maxMethod, !httpguts.ValidHeaderFieldName(name): // both are tokens, RFC 9110 section 5.6.2
		return fmt.Errorf("%q cannot be a method", name)
	}
	bit := methodBit(name)
	if bit == 0 && !slices.Contains(m.others, name) {
		m.others = append(m.others, name)
	}
	if bit == getBit {
		bit |= headBit
	}
	m.common |= bit
	return nil
}

func (m *methods) any() bool { return m.common == 0 && len(m.others) == 0 }

// bits are those of the common methods that the set takes.
func (m *methods) bits() uint16 {
	if m.any() {
		return math.MaxUint16
	}
	return m.common
}

// has reports whether the set takes the method name, whose bit is known.
func (m *methods) has(name string, bit uint16) bool {
	if m.common&bit != 0 || m.any() {
		return true
	}
	return bit == 0 && slices.Contains(m.others, name)
}

// join adds all of other.
func (m *methods) join(other *methods) {
	m.common |= other.common
	for _, name := range other.others {
		if !slices.Contains(m.others, name) {
			m.others = append(m.others, name)
		}
	}
}

// covers reports whether every method that other takes is taken by m.
func (m *methods) covers(other *methods) bool {
	if m.any() {
		return true
	}
	if other.any() || other.common&^m.common != 0 {
		return false
	}
	for _, name := range other.others {
		if !slices.Contains(m.others, name) {
			return false
		}
	}
	return true
}

// names are the methods of the set, sorted.
func (m *methods) names() []string {
	names := slices.Clone(m.others)
	for i, name := range commonMethods {
		if m.common&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
