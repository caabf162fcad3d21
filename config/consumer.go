package config

// Consumer is a named caller.
type Consumer struct {
	// What the service, logs and rules call the caller. Letters, digits, `.`, `_` and `-`, at most 64; unique.
	Name string `yaml:"name" required:"true"`

	// Groups the caller belongs to, sent to the service beside the name.
	Groups []string `yaml:"groups"`

	// How the caller proves who it is; any one is enough.
	Credentials []Credential `yaml:"credentials" required:"true"`
}

// Credential is one proof of who a caller is.
type Credential struct {
	// An API key for the keyAuth filter. No two consumers may share one.
	Key Secret `yaml:"key" required:"true"`
}
