package backend

import "github.com/sluice-gateway/sluice/exchange"

// When is conditions on a request, all of which must hold.
type When []Condition

// Condition is one demand on what a selector finds. Fits is told the value, and whether there is one.
type Condition struct {
	Selector exchange.Selector
	Fits     func(value string, found bool) bool
}

func (w When) holds(x *exchange.Exchange) bool {
	for i := range w {
		if value, found := w[i].Selector.Key(x); !w[i].Fits(value, found) {
			return false
		}
	}
	return true
}
