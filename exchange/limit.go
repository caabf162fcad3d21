package exchange

import "time"

// Limit is what one rate limit decided about this request. Its filter leaves it here for the response.
type Limit struct {
	By        any           // the filter, compared by identity
	Quota     int64         // requests a window
	Window    time.Duration // above 0
	Remaining int64         // at the instant it was asked
	Reset     time.Duration // until the caller is as good as new
	Refused   bool
}
