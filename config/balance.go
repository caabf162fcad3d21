package config

// Balance is how an endpoint is chosen for a request. Whatever the policy, an endpoint that is unhealthy, ejected or
// drained is left out, and weights count.
type Balance struct {
	// `roundRobin` takes turns by weight, smoothly. `leastRequest` draws two endpoints and takes the one with fewer requests
	// in flight for its weight. `peakEwma` likewise, but by latency times requests in flight, so that it avoids what is slow.
	// `random` draws one by weight. `consistentHash` sends equal keys to the same endpoint, and what would load it beyond
	// 1.25 times its share to the key's next. `sticky` lets a cookie keep a client with its endpoint while that takes
	// requests.
	Policy string `yaml:"policy" default:"roundRobin" enum:"roundRobin,leastRequest,peakEwma,random,consistentHash,sticky"`

	// With `consistentHash`, which it needs: the selector of the key, such as `header:x-user`, `cookie:sid`, `client.ip`, or
	// several joined by `+`. A request without the key goes to any endpoint, at random by weight.
	HashOn string `yaml:"hashOn"`

	// With `sticky`: the name of the cookie. Empty: `sluice-` and the service's name.
	Cookie string `yaml:"cookie"`

	// With `sticky`: what the cookie is signed with; equal on all gateways before the service. Absent: a key made of the
	// service's name, so that the cookie tells nobody an address but anybody who knows this program could make one;
	// `sluice check` warns of it.
	Secret Secret `yaml:"secret"`
}
