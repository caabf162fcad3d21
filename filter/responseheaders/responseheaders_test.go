package responseheaders

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
)

func TestFilter(t *testing.T) {
	f, err := New(filter.Env{}, Config{
		Set: map[string]string{"x-frame-options": "DENY"}, Add: map[string]string{"vary": "Accept"}, Remove: []string{"server"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ before, after http.Header }{
		{http.Header{"Server": {"x"}, "Vary": {"Origin"}}, http.Header{"Vary": {"Origin", "Accept"}, "X-Frame-Options": {"DENY"}}},
		{nil, http.Header{"Vary": {"Accept"}, "X-Frame-Options": {"DENY"}}},
	} {
		x := &exchange.Exchange{Response: &http.Response{Header: c.before}}
		if err := f.(*Filter).OnResponse(context.Background(), x); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(x.Response.Header, c.after) {
			t.Errorf("%v, want %v", x.Response.Header, c.after)
		}
	}
}

func TestErrors(t *testing.T) {
	for want, c := range map[string]Config{
		"does nothing":              {},
		"is on every response":      {Remove: []string{"x-request-id"}},
		"set.transfer-encoding: Tr": {Set: map[string]string{"transfer-encoding": "chunked"}},
		"remove[1]: Content-Length": {Remove: []string{"server", "content-length"}},
	} {
		if _, err := New(filter.Env{}, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q in it", c, err, want)
		}
	}
	if typ := Type(); typ.Name != "responseHeaders" || !typ.Repeat || typ.Phase != filter.Respond {
		t.Errorf("%+v", typ)
	}
}
