package all

import (
	"slices"
	"testing"
)

func TestRegistry(t *testing.T) {
	r, err := Registry()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"compress", "concurrencyLimit", "cors", "faultInjection", "ipAllow", "keyAuth", "rateLimit", "requestHeaders", "responseHeaders", "rewrite", "throttle", "transform"}
	if !slices.Equal(r.Names(), want) {
		t.Errorf("%q, want %q", r.Names(), want)
	}
	repeat := []string{"concurrencyLimit", "ipAllow", "rateLimit", "requestHeaders", "responseHeaders", "rewrite", "throttle"}
	for name, typ := range r {
		if repeats := slices.Contains(repeat, name); typ.Repeat != repeats {
			t.Errorf("%s: repeats %v", name, typ.Repeat)
		}
	}
}
