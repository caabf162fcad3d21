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
	want := []string{"compress", "cors", "ipAllow", "keyAuth", "rateLimit", "requestHeaders", "responseHeaders", "rewrite"}
	if !slices.Equal(r.Names(), want) {
		t.Errorf("%q, want %q", r.Names(), want)
	}
	for name, typ := range r {
		if repeats := slices.Contains([]string{"ipAllow", "rateLimit", "requestHeaders", "responseHeaders", "rewrite"}, name); typ.Repeat != repeats {
			t.Errorf("%s: repeats %v", name, typ.Repeat)
		}
	}
}
