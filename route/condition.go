package route

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/exchange"
)

// A Condition is one demand on a header field, a query parameter or a cookie. Where it is repeated, one of its values
// must do; for Not, all must.
type Condition struct {
	Name  string
	Test  Test
	Value string // not for Present and Absent
}

// Test is how a Condition compares.
type Test uint8

const (
	Exact   Test = iota // a value is Value
	Present             // there is a value, be it empty
	Absent              // there is none
	Prefix              // a value begins with Value
	Suffix              // a value ends with Value
	Regex               // a value matches the RE2 expression Value, somewhere
	Not                 // no value is Value; none at all will do
)

// part is the part of a request that a condition reads.
type part uint8

const (
	inHeader part = iota
	inQuery
	inCookie
)

var (
	partFields = [...]string{"headers", "query", "cookies"}         // as the configuration calls them
	partNames  = [...]string{"header", "query parameter", "cookie"} // as people do
)

// condition is a Condition compiled.
type condition struct {
	Condition
	part  part
	regex *regexp.Regexp
}

func compileCondition(part part, c Condition) (condition, error) {
	compiled := condition{Condition: c, part: part}
	if err := compiled.checkName(); err != nil {
		return compiled, err
	}
	if c.Test > Not {
		return compiled, fmt.Errorf("there is no test %d", c.Test)
	}
	if c.Test == Prefix || c.Test == Suffix {
		if c.Value == "" {
			return compiled, errors.New("an empty prefix or suffix fits everything: use present")
		}
	}
	if c.Test == Regex {
		var err error
		compiled.regex, err = compileRegex(c.Value)
		return compiled, err
	}
	return compiled, nil
}

// checkName refuses what no request can have, and spells a header field as net/http does.
func (c *condition) checkName() error {
	if c.part == inQuery {
		if c.Name == "" {
			return errors.New("a query parameter has a name")
		}
		return nil
	}
	if !httpguts.ValidHeaderFieldName(c.Name) {
		return fmt.Errorf("%q cannot be the name of a %s", c.Name, partNames[c.part])
	}
	if c.part == inHeader {
		c.Name = http.CanonicalHeaderKey(c.Name)
		if c.Name == "Host" {
			return errors.New("use the route's hosts")
		}
	}
	return nil
}

// field is where the configuration has the condition, given the name as it was written there.
func (c *condition) field(name string) string {
	field := partFields[c.part] + "." + name
	if c.Test == Regex {
		return field + ".regex"
	}
	return field
}

// holds reports whether the condition is true for in.
func (c *condition) holds(in *http.Request) bool {
	negated := c.Test == Absent || c.Test == Not
	return c.some(in) != negated
}

// some reports whether one of the values fits, whatever that means for the test.
func (c *condition) some(in *http.Request) bool {
	switch c.part {
	case inHeader:
		for _, value := range in.Header[c.Name] {
			if c.fits(value) {
				return true
			}
		}
	case inQuery:
		for q := newQuery(in); q.Next(); {
			if q.Name == c.Name && c.fits(q.Value) {
				return true
			}
		}
	case inCookie:
		for k := exchange.NewCookies(in.Header); k.Next(); {
			if k.Name == c.Name && c.fits(k.Value) {
				return true
			}
		}
	}
	return false
}

func newQuery(in *http.Request) exchange.Query {
	if in.URL == nil {
		return exchange.Query{}
	}
	return exchange.NewQuery(in.URL.RawQuery)
}

func (c *condition) fits(value string) bool {
	switch c.Test {
	case Exact, Not:
		return value == c.Value
	case Prefix:
		return strings.HasPrefix(value, c.Value)
	case Suffix:
		return strings.HasSuffix(value, c.Value)
	case Regex:
		return c.regex.MatchString(value)
	}
	return true // Present, Absent
}

// value is what in has, for people; false if nothing.
func (c *condition) value(in *http.Request) (string, bool) {
	present := *c
	present.Test = Present
	if !present.some(in) {
		return "", false
	}
	var found []string
	switch c.part {
	case inHeader:
		found = in.Header[c.Name]
	case inQuery:
		for q := newQuery(in); q.Next(); {
			if q.Name == c.Name {
				found = append(found, q.Value)
			}
		}
	case inCookie:
		for k := exchange.NewCookies(in.Header); k.Next(); {
			if k.Name == c.Name {
				found = append(found, k.Value)
			}
		}
	}
	return strings.Join(found, ", "), true
}

// wants is what the condition asks for, for people.
func (c *condition) wants() string {
	switch c.Test {
	case Present:
		return "any value"
	case Absent:
		return "none"
	case Prefix:
		return fmt.Sprintf("%q at its start", c.Value)
	case Suffix:
		return fmt.Sprintf("%q at its end", c.Value)
	case Regex:
		return fmt.Sprintf("a match of %q", c.Value)
	case Not:
		return fmt.Sprintf("anything but %q", c.Value)
	}
	return fmt.Sprintf("%q", c.Value)
}
