package balance

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
)

// sticky sends a client to the endpoint it was sent to before, as long as that takes requests: the client shows a token,
// which it was given with the first answer. Without one, or when its endpoint is gone, drained, ejected or unhealthy, it
// is sent to another as leastRequest would, and given the token of that one.
//
// The token is a MAC of the endpoint's address under the service's secret. So it tells nobody the address, nobody can make
// one without the secret, and every process and every restart understands it without having kept anything.
type sticky struct {
	leastRequest
	positions map[string]int
}

func (s *sticky) Pick(ask Ask) int {
	if ask.Key != "" {
		if at, known := s.positions[ask.Key]; known && s.weights[at] > 0 && !slices.Contains(ask.Tried, at) {
			return s.take(at)
		}
	}
	return s.leastRequest.Pick(ask)
}

// tokenBytes is as much of a MAC as nobody guesses.
const tokenBytes = 16

func newTokens(o Options, candidates []Candidate) (tokens []string, positions map[string]int) {
	secret := o.Secret
	if secret == "" {
		secret = "service " + o.Service // opaque, but not unforgeable
	}
	tokens, positions = make([]string, len(candidates)), make(map[string]int, len(candidates))
	mac := hmac.New(sha256.New, []byte(secret))
	for i, c := range candidates {
		mac.Reset()
		mac.Write([]byte("sluice sticky endpoint\x00" + o.Service + "\x00" + c.Address))
		tokens[i] = base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tokenBytes])
		positions[tokens[i]] = i
	}
	return tokens, positions
}

// Token is what a client shows to be sent to the candidate again; empty if the policy is not sticky.
func (s *Set) Token(at int) string {
	if s.tokens == nil {
		return ""
	}
	return s.tokens[at]
}
