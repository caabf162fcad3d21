package backend

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/exchange"
)

// Respond answers with what the configuration says, asking nobody.
type Respond struct {
	Status int
	Header http.Header // canonical names; never changed
	Body   string
}

func (*Respond) Forwards() bool { return false }

func (b *Respond) Answer(_ context.Context, x *exchange.Exchange) error {
	x.Response = &http.Response{
		StatusCode:    b.Status,
		Header:        b.Header.Clone(),
		Body:          io.NopCloser(strings.NewReader(b.Body)),
		ContentLength: int64(len(b.Body)),
	}
	return nil
}
