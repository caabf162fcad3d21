package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/sluice-gateway/sluice/exchange"
)

const maxRequestID = 128 // bytes kept from a trusted peer; a longer one is replaced

// requestID keeps a trusted peer's id and makes one otherwise.
func requestID(x *exchange.Exchange) string {
	if x.Trusted {
		if id := first(x.In.Header, "X-Request-Id"); validRequestID(id) {
			return id
		}
	}
	return newRequestID(x.Start)
}

// validRequestID admits visible ASCII without quotes: it goes into headers and logs as it is.
func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := 0; i < len(id); i++ {
		if c := id[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// newRequestID is a UUIDv7 (RFC 9562 section 5.7): sortable by time, then 74 random bits. The generator is the
// runtime's ChaCha8, one state a thread: unguessable, and without a lock or a system call.
func newRequestID(now time.Time) string {
	var u [16]byte
	binary.BigEndian.PutUint64(u[:8], uint64(now.UnixMilli())<<16|rand.Uint64()&0x0fff|0x7000)
	binary.BigEndian.PutUint64(u[8:], rand.Uint64()&(1<<62-1)|1<<63)

	var text [36]byte
	hex.Encode(text[0:8], u[0:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:36], u[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
