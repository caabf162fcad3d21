package soap

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the UsernameToken profile knows no other
	"encoding/base64"
	"time"
)

const (
	namespaceWSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	namespaceWSU  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	tokenProfile  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#"
	base64Type    = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
)

// UsernameToken is who the gateway says it is, by WS-Security's UsernameToken profile 1.0.
type UsernameToken struct {
	Username, Password string
	// Digest sends the password as the SHA-1 of nonce, time and password, so that it does not travel; else it stands there.
	Digest bool
	// MustUnderstand lets the service refuse what it does not check.
	MustUnderstand bool

	now  func() time.Time // nil: time.Now
	read func([]byte)     // nil: random
}

// append writes the Security header. Nonce and time are new in every message, so it cannot be sent again.
func (t *UsernameToken) append(b []byte) []byte {
	var nonce [16]byte
	if t.read != nil {
		t.read(nonce[:])
	} else {
		_, _ = rand.Read(nonce[:]) // never fails: it ends the program instead
	}
	now := time.Now
	if t.now != nil {
		now = t.now
	}
	created := now().UTC().Format("2006-01-02T15:04:05.000Z")
	b = append(b, `<wsse:Security xmlns:wsse="`+namespaceWSSE+`" xmlns:wsu="`+namespaceWSU+`"`...)
	if t.MustUnderstand {
		b = append(b, ` soapenv:mustUnderstand="1"`...)
	}
	b = append(b, `><wsse:UsernameToken><wsse:Username>`...)
	b = append(appendXML(b, t.Username), `</wsse:Username><wsse:Password Type="`+tokenProfile...)
	if t.Digest {
		b = append(append(b, `PasswordDigest">`...), t.digest(nonce[:], created)...)
	} else {
		b = appendXML(append(b, `PasswordText">`...), t.Password)
	}
	b = append(b, `</wsse:Password><wsse:Nonce EncodingType="`+base64Type+`">`...)
	b = append(b, base64.StdEncoding.EncodeToString(nonce[:])...)
	return append(b, `</wsse:Nonce><wsu:Created>`+created+`</wsu:Created></wsse:UsernameToken></wsse:Security>`...)
}

func (t *UsernameToken) digest(nonce []byte, created string) string {
	h := sha1.New() //nolint:gosec // see above
	h.Write(nonce)
	h.Write([]byte(created))
	h.Write([]byte(t.Password))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
