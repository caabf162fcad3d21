package exchange

import (
	"slices"
	"testing"
)

func TestExpandCaptures(t *testing.T) {
	bound := Captures{{"id", "a%2Fb"}, {"name", "{id}"}, {"empty", ""}}
	for _, test := range []struct{ template, want string }{
		{"", ""},
		{"/plain", "/plain"},
		{"/o/{id}", "/o/a%2Fb"},
		{"{id}{id}", "a%2Fba%2Fb"},
		{"/{name}/x", "/{id}/x"}, // what was captured is not a template
		{"/{empty}/", "//"},
		{"/{nobody}/", "//"},
		{"/{id", "/{id"},
		{"/id}", "/id}"},
		{"/{}/", "//"},
	} {
		if got := ExpandCaptures(test.template, bound); got != test.want {
			t.Errorf("%q gives %q, want %q", test.template, got, test.want)
		}
	}
	if _, found := bound.Get("nobody"); found {
		t.Error("a name that is not bound was found")
	}
	if value, found := bound.Get("empty"); !found || value != "" {
		t.Errorf("a segment bound to nothing: %q, %v", value, found)
	}
}

func TestCaptureNames(t *testing.T) {
	for _, test := range []struct {
		template string
		want     []string
	}{
		{"/plain", nil},
		{"/{a}/x/{b}/{a}", []string{"a", "b", "a"}},
		{"/{a}/{b", []string{"a"}},
		{"}/{a}", []string{"a"}},
	} {
		if got := CaptureNames(test.template); !slices.Equal(got, test.want) {
			t.Errorf("%q names %v, want %v", test.template, got, test.want)
		}
	}
}
