package config

// Admin is the listener for operators.
type Admin struct {
	// Where to listen: `host:port` or `unix:/path`. Beyond loopback a token is demanded.
	Address string `yaml:"address" default:"127.0.0.1:9901" required:"true"`

	// The bearer token that every request but `/healthz` and plain `/readyz` must carry. Empty: none.
	Token Secret `yaml:"token"`
}
