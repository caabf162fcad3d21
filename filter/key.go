package filter

import (
	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/store"
)

// Key is whom a limit counts: what its selector finds in a request. A request in which a part of it is missing (no
// consumer, no such header) is counted by its client's address instead, apart from those that are counted by the address
// anyway; a client without an address, on a unix socket, shares one count with its like.
type Key struct {
	selector exchange.Selector
	rule     string // the filter's scope and name
	fallback string // the rule for requests without a key
}

// NewKey is the key of the filter that env is lent to. A zero selector stands for client.ip.
func NewKey(env Env, selector exchange.Selector) (Key, error) {
	if selector.IsZero() {
		if err := selector.UnmarshalText([]byte("client.ip")); err != nil {
			return Key{}, err
		}
	}
	rule := env.Scope + "\x00" + env.Name
	return Key{selector, rule, rule + "\x00client.ip"}, nil
}

// Of is the counter that a request belongs to.
func (k *Key) Of(x *exchange.Exchange) store.Key {
	if value, ok := k.selector.Key(x); ok {
		return store.Key{Rule: k.rule, Value: value}
	}
	return store.Key{Rule: k.fallback, Value: x.Client.String()}
}

// Phase is Admit if the address is all that the key reads, which is known before anybody has authenticated.
func (k *Key) Phase() Phase {
	if k.selector.AddressOnly() {
		return Admit
	}
	return Limit
}
