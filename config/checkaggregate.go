package config

import "fmt"

// aggregate checks that the services of the calls are there. What the texts of the calls refer to, compile checks: it knows
// their language.
func (k *checker) aggregate(a *Aggregate, path string) {
	if a == nil {
		return
	}
	for i, call := range a.Calls {
		k.reference(fmt.Sprintf("%s.calls[%d].service", path, i), call.Service, k.serviceNames)
	}
}
