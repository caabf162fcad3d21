package exchange

import (
	"crypto/sha256"
	"hash"
	"sync"
)

// Identity is what an Authenticate filter learned about the caller.
type Identity struct {
	Consumer *Consumer      // nil: authenticated, but nobody the configuration names
	Scheme   string         // the filter that vouches: keyAuth
	Claims   map[string]any // what a token said; nil for schemes without claims
}

// Name is the consumer's name, or empty. It is safe on nil.
func (i *Identity) Name() string {
	if i == nil || i.Consumer == nil {
		return ""
	}
	return i.Consumer.Name
}

// Anonymous reports whether nobody in particular asks. What is made of the request alone may then be given to anybody who asks
// the same; not what is made of the credentials and cookies in it.
func (x *Exchange) Anonymous() bool { return x.Identity == nil }

// Consumer is a named caller.
type Consumer struct {
	Name   string
	Groups []string
}

// Directory finds consumers by credential. It is built by compile and never changed after; the zero value knows nobody.
type Directory struct {
	keys map[[sha256.Size]byte]*Consumer
}

// AddKey gives c an API key. Only the key's SHA-256 is kept. It reports false if another consumer holds the key already.
func (d *Directory) AddKey(key string, c *Consumer) bool {
	if d.keys == nil {
		d.keys = make(map[[sha256.Size]byte]*Consumer)
	}
	sum := sha256.Sum256([]byte(key))
	if _, taken := d.keys[sum]; taken {
		return false
	}
	d.keys[sum] = c
	return true
}

// ByKey finds the consumer who holds key. The look-up is by hash, so its time tells nothing about a key nearly right.
func (d *Directory) ByKey(key string) (*Consumer, bool) {
	if d == nil {
		return nil, false
	}
	h := hashers.Get().(*hasher)
	defer hashers.Put(h)
	c, ok := d.keys[h.of(key)]
	return c, ok
}

// hasher is the memory that one SHA-256 takes.
type hasher struct {
	hash.Hash
	key []byte
	sum [sha256.Size]byte
}

var hashers = sync.Pool{New: func() any { return &hasher{Hash: sha256.New()} }}

func (h *hasher) of(key string) [sha256.Size]byte {
	h.key = append(h.key[:0], key...)
	h.Reset()
	h.Write(h.key)
	h.Sum(h.sum[:0])
	return h.sum
}
