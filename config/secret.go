package config

import "strconv"

// redacted stands for every secret that would be shown.
const redacted = "[redacted]"

// Secret is text that no log, message or page shows. A conversion to string reveals it.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
