package compile

import (
	"github.com/sluice-gateway/sluice/backend"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/exchange"
)

// affinity is how a service keeps a caller with an endpoint; nil if it does not.
func (k *compiler) affinity(at string, c *config.Service) *backend.Affinity {
	switch c.Balance.Policy {
	case "consistentHash":
		if c.Balance.HashOn == "" { // it was reported
			return nil
		}
		key := new(exchange.Selector)
		if err := key.UnmarshalText([]byte(c.Balance.HashOn)); err != nil {
			k.errorf(at+".hashOn", "%v", err)
		}
		return &backend.Affinity{HashOn: key}
	case "sticky":
		name := c.Balance.Cookie
		if name == "" {
			name = "sluice-" + c.Name
		}
		return backend.Sticky(name)
	}
	return nil
}
