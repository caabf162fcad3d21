package config

import "fmt"

// maxEndpoints is how many endpoints one service may have.
const maxEndpoints = 10_000

// balance checks that the policy has what it needs, and nothing that is another's.
func (k *checker) balance(s *Service, path string) {
	b := &s.Balance
	for _, option := range []struct {
		key, of string
		given   bool
	}{
		{"hashOn", "consistentHash", b.HashOn != ""}, {"cookie", "sticky", b.Cookie != ""}, {"secret", "sticky", b.Secret != ""},
	} {
		if option.given && b.Policy != option.of && !k.faulty(path) {
			k.errorAt(path+"."+option.key, "", fmt.Sprintf("%s is about `policy: %s`, and the policy is %s", option.key, option.of, b.Policy))
		}
	}
	switch {
	case b.Policy == "consistentHash" && b.HashOn == "" && !k.faulty(path):
		if k.written(path + ".hashOn") {
			path += ".hashOn"
		}
		k.errorAt(path, "write for example hashOn: header:x-user, or client.ip", "consistentHash needs hashOn: what is the key?")
	case b.Policy == "sticky" && b.Cookie != "" && !isToken(b.Cookie):
		k.errorAt(path+".cookie", "", fmt.Sprintf("`%s` cannot be the name of a cookie", clip(b.Cookie)))
	case b.Policy == "sticky" && b.Secret == "" && !k.written(path+".secret"):
		k.add(Warning, path, "write secret: ${STICKY_SECRET}",
			"the sticky cookie is signed with a key that is made of the service's name, so a client could choose its endpoint")
	case b.Policy == "sticky" && b.Secret == "" && !k.faulty(path):
		k.errorAt(path+".secret", "", "the secret is empty")
	}
}

// slowStart warns where it does nothing.
func (k *checker) slowStart(s *Service, path string) {
	if p := s.Balance.Policy; s.SlowStart > 0 && (p == "consistentHash" || p == "sticky") {
		k.add(Warning, path, "remove it", fmt.Sprintf("%s keeps callers with their endpoints, so slowStart does nothing", p))
	}
}

// endpointCount checks that there are neither too many endpoints nor none that takes requests.
func (k *checker) endpointCount(s *Service, path string) {
	if n := len(s.Endpoints); n > maxEndpoints {
		k.errorAt(path, "", fmt.Sprintf("%d endpoints, at most %d are possible", n, maxEndpoints))
	}
	for _, e := range s.Endpoints {
		if e.Weight != 0 {
			return
		}
	}
	if len(s.Endpoints) > 0 && !k.faulty(path) {
		k.add(Warning, path, "give at least one a weight above 0", "every endpoint has weight 0, so all requests get a 503")
	}
}
