package exchange

import "testing"

func TestDirectory(t *testing.T) {
	one, two := &Consumer{Name: "one"}, &Consumer{Name: "two"}
	d := new(Directory)
	if _, known := d.ByKey("k1"); known {
		t.Error("an empty directory knows somebody")
	}
	if !d.AddKey("k1", one) || !d.AddKey("k2", one) || !d.AddKey("k3", two) {
		t.Fatal("a key that nobody has is taken")
	}
	if d.AddKey("k1", two) {
		t.Error("two consumers have one key")
	}
	for key, want := range map[string]*Consumer{"k1": one, "k2": one, "k3": two, "K1": nil, "k1 ": nil, "": nil} {
		if got, known := d.ByKey(key); got != want || known != (want != nil) {
			t.Errorf("%q belongs to %v, %v", key, got, known)
		}
	}
	if _, known := (*Directory)(nil).ByKey("k1"); known {
		t.Error("no directory knows somebody")
	}
}

func TestIdentityName(t *testing.T) {
	for want, i := range map[string]*Identity{"one": {Consumer: &Consumer{Name: "one"}}, "": {Scheme: "jwt"}} {
		if got := i.Name(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (*Identity)(nil).Name(); got != "" {
		t.Errorf("nobody is called %q", got)
	}
}
