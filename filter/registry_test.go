package filter

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

type settings struct{ Word string }

func echo(env Env, s settings) (Filter, error) {
	if s.Word == "" {
		return nil, Setting("word", "%s is empty", env.Name)
	}
	return s.Word, nil
}

func TestRegistry(t *testing.T) {
	r, err := NewRegistry(Define("b", Admit, echo), Define("a", Limit, echo).Repeated())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Names(), []string{"a", "b"}) || !r["a"].Repeat || r["b"].Repeat || r["a"].Phase != Limit {
		t.Errorf("%+v", r)
	}
	if _, ok := r["a"].Settings().(*settings); !ok {
		t.Errorf("settings are a %T", r["a"].Settings())
	}
	if _, err := NewRegistry(Define("a", Admit, echo), Define("a", Admit, echo)); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("two of one name: %v", err)
	}
}

func TestBuild(t *testing.T) {
	typ := Define("a", Admit, echo)
	f, err := typ.Build(Env{}, func(s any) error {
		s.(*settings).Word = "x"
		return nil
	})
	if f != "x" || err != nil {
		t.Errorf("%v, %v", f, err)
	}
	wrong := errors.New("wrong")
	if _, err := typ.Build(Env{}, func(any) error { return wrong }); err != wrong {
		t.Errorf("of a decoder that fails: %v", err)
	}
	_, err = typ.Build(Env{Name: "a"}, func(any) error { return nil })
	var setting *SettingError
	if !errors.As(err, &setting) || setting.Key != "word" || err.Error() != "word: a is empty" || errors.Unwrap(err) == nil {
		t.Errorf("of settings that are wrong: %v", err)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1": 1, "100B": 100, "1KiB": 1024, "3MiB": 3 << 20, "8GiB": 8 << 30, "1500": 1500} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
		again, err := s.MarshalText()
		if err != nil || s.UnmarshalText(again) != nil || s != want {
			t.Errorf("%s: written as %s, %v", text, again, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5KiB", "KiB", "1 KiB", "1kb", "9000000000GiB", "99999999999999999999"} {
		if s := new(Size); s.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q was taken for %d", text, *s)
		}
	}
}

func allowed(string) string { return "" }

func TestFieldEdits(t *testing.T) {
	e, err := NewFieldEdits(map[string]string{"x-set": "new", "X-New": "1"}, map[string]string{"x-add": "2", "x-added": ""}, []string{"x-gone", "x-absent"}, allowed)
	if err != nil {
		t.Fatal(err)
	}
	shared := []string{"1", "not ours"}
	h := http.Header{"X-Set": {"old", "older"}, "X-Add": shared[:1], "X-Gone": {"1"}, "X-Kept": {"1"}}
	e.Apply(h)
	for name, want := range map[string][]string{"X-Set": {"new"}, "X-New": {"1"}, "X-Add": {"1", "2"}, "X-Added": {""}, "X-Gone": nil, "X-Kept": {"1"}} {
		if !slices.Equal(h[name], want) {
			t.Errorf("%s: %q, want %q", name, h[name], want)
		}
	}
	if shared[1] != "not ours" {
		t.Error("a shared list of values was written to")
	}
	e.Apply(h)
	if got := h["X-Set"]; len(got) != 1 {
		t.Errorf("set twice: %q", got)
	}
}

func TestFieldEditsErrors(t *testing.T) {
	_, err := NewFieldEdits(
		map[string]string{"a b": "", "connection": "", "x-a": "1", "X-A": "2", "x-nl": "a\nb"},
		map[string]string{"": "x"}, []string{"ok", "content-length", "ä"}, BelongsToConnection)
	for _, want := range []string{"set.a b:", "set.connection:", "set.x-a: X-A is written twice", "set.x-nl:", "add.:", "remove[1]:", "remove[2]:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	for _, name := range []string{"Connection", "Te", "Upgrade", "Transfer-Encoding", "Trailer", "Expect"} {
		if BelongsToConnection(name) == "" {
			t.Errorf("%s may be changed", name)
		}
	}
	if BelongsToConnection("X-A") != "" {
		t.Error("X-A may not be changed")
	}
}
