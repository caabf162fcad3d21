package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// key names settings by what they say and by the contents of the files they name, so that a renewed certificate is a
// change and a touched one is not.
type key struct{ sum hash.Hash }

func newKey(words ...string) *key {
	k := &key{sha256.New()}
	k.words(words...)
	return k
}

func (k *key) words(words ...string) {
	for _, w := range words {
		k.add([]byte(w))
	}
}

// add hashes each part by itself first, so that parts cannot run into each other.
func (k *key) add(parts ...[]byte) {
	for _, p := range parts {
		sum := sha256.Sum256(p)
		k.sum.Write(sum[:])
	}
}

func (k *key) String() string { return hex.EncodeToString(k.sum.Sum(nil)) }
