package route

import "fmt"

// A RuleError says which rule could not be compiled, and which part of it.
type RuleError struct {
	Rule  int    // index into what Build was given
	Field string // as the configuration calls it: hosts[0], path, path.regex, methods[1], headers.NAME, headers.NAME.regex
	Err   error
}

func (e *RuleError) Error() string { return fmt.Sprintf("rule %d: %s: %v", e.Rule, e.Field, e.Err) }

func (e *RuleError) Unwrap() error { return e.Err }

// mistakes collects the errors of one Build.
type mistakes []*RuleError

// at returns where the errors of one field go.
func (m *mistakes) at(rule int, field string) func(error) {
	return func(err error) {
		if err != nil {
			*m = append(*m, &RuleError{rule, field, err})
		}
	}
}
