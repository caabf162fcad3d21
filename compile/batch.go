package compile

import (
	"net/http"

	"github.com/sluice-gateway/sluice/backend/batch"
	"github.com/sluice-gateway/sluice/config"
)

// batch compiles the end of that name.
func (k *compiler) batch(at string, r *config.Route) *batch.Batch {
	c := r.Batch
	b := &batch.Batch{
		Requests: c.Requests, Concurrency: c.Concurrency, Timeout: c.Timeout,
		RequestBytes: int64(c.RequestBytes), AnswerBytes: int64(c.AnswerBytes), TotalBytes: int64(c.TotalBytes),
	}
	if b.Timeout == 0 {
		b.Timeout = r.Timeout
	}
	for i, name := range c.Inherit {
		if err := batch.CheckInherit(name); err != nil {
			k.errorf(index(at+".inherit", i), "%v", err)
		}
		b.Inherit = append(b.Inherit, http.CanonicalHeaderKey(name))
	}
	return b
}
