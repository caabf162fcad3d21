package requestheaders

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
		Set: map[string]string{"x-tier": "gold"}, Add: map[string]string{"X-Trace": "b"}, Remove: []string{"cookie"},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := http.Header{"X-Tier": {"forged", "twice"}, "X-Trace": {"a"}, "Cookie": {"sid=1"}, "Accept": {"*/*"}}
	x := &exchange.Exchange{In: &http.Request{Header: in.Clone()}, Out: &http.Request{Header: in.Clone()}}
	if err := f.(*Filter).OnRequest(context.Background(), x); err != nil {
		t.Fatal(err)
	}
	if want := (http.Header{"X-Tier": {"gold"}, "X-Trace": {"a", "b"}, "Accept": {"*/*"}}); !reflect.DeepEqual(x.Out.Header, want) {
		t.Errorf("forwarded %v, want %v", x.Out.Header, want)
	}
	if !reflect.DeepEqual(x.In.Header, in) {
		t.Errorf("the request as received was changed: %v", x.In.Header)
	}
}

func TestErrors(t *testing.T) {
	for want, c := range map[string]Config{
		"does nothing":                {},
		"use the filter rewrite":      {Set: map[string]string{"host": "x"}},
		"how loops are found":         {Remove: []string{"via"}},
		"remove[0]: Connection":       {Remove: []string{"connection"}},
		"add.content-length: Content": {Add: map[string]string{"content-length": "1"}},
		"set.x-a: the value holds":    {Set: map[string]string{"x-a": "a\r\nb: c"}},
		"set.a b: \"a b\" cannot be":  {Set: map[string]string{"a b": ""}},
	} {
		if _, err := New(filter.Env{}, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q in it", c, err, want)
		}
	}
	if typ := Type(); typ.Name != "requestHeaders" || !typ.Repeat || typ.Phase != filter.Transform {
		t.Errorf("%+v", typ)
	}
}
