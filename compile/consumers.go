package compile

import (
	"github.com/sluice-gateway/sluice/exchange"
)

// consumers builds the directory. Only hashes of the keys go into it.
func (k *compiler) consumers() *exchange.Directory {
	d := new(exchange.Directory)
	for i := range k.config.Consumers {
		c := &k.config.Consumers[i]
		consumer := &exchange.Consumer{Name: c.Name, Groups: c.Groups}
		for j, credential := range c.Credentials {
			if !d.AddKey(string(credential.Key), consumer) {
				k.errorf(index(index("consumers", i)+".credentials", j)+".key", "another consumer has the same key")
			}
		}
	}
	return d
}
