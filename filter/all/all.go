// Package all is the list of the filters that ship, one line each.
package all

import (
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/filter/compress"
	"github.com/sluice-gateway/sluice/filter/concurrencylimit"
	"github.com/sluice-gateway/sluice/filter/cors"
	"github.com/sluice-gateway/sluice/filter/faultinjection"
	"github.com/sluice-gateway/sluice/filter/ipallow"
	"github.com/sluice-gateway/sluice/filter/keyauth"
	"github.com/sluice-gateway/sluice/filter/ratelimit"
	"github.com/sluice-gateway/sluice/filter/requestheaders"
	"github.com/sluice-gateway/sluice/filter/responseheaders"
	"github.com/sluice-gateway/sluice/filter/rewrite"
	"github.com/sluice-gateway/sluice/filter/throttle"
	"github.com/sluice-gateway/sluice/filter/transform"
)

// Registry is every filter of this binary.
func Registry() (filter.Registry, error) {
	return filter.NewRegistry(
		compress.Type(),
		concurrencylimit.Type(),
		cors.Type(),
		faultinjection.Type(),
		ipallow.Type(),
		keyauth.Type(),
		ratelimit.Type(),
		requestheaders.Type(),
		responseheaders.Type(),
		rewrite.Type(),
		throttle.Type(),
		transform.Type(),
	)
}
