package ipallow

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/failure"
	"github.com/sluice-gateway/sluice/filter"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func build(t testing.TB, c Config) *Filter {
	t.Helper()
	f, err := New(filter.Env{}, c)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*Filter)
}

func TestFilter(t *testing.T) {
	nested := Config{Allow: prefixes("10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"), Deny: prefixes("10.1.2.0/24")}
	for _, c := range []struct {
		name     string
		settings Config
		client   string
		refused  bool
	}{
		{"allowed", nested, "10.200.0.1", false},
		{"allowed inside another", nested, "10.1.3.1", false},
		{"after the inner one", nested, "10.2.0.0", false},
		{"first", nested, "10.0.0.0", false},
		{"last", nested, "10.255.255.255", false},
		{"before", nested, "9.255.255.255", true},
		{"after", nested, "11.0.0.0", true},
		{"one address", nested, "192.0.2.7", false},
		{"its neighbour", nested, "192.0.2.8", true},
		{"deny wins", nested, "10.1.2.255", true},
		{"IPv6", nested, "2001:db8:ffff::1", false},
		{"IPv6 with a zone", nested, "2001:db8::1%eth0", false},
		{"other IPv6", nested, "2001:db9::", true},
		{"4 in 6", nested, "::ffff:10.0.0.1", false},
		{"4 in 6 denied", nested, "::ffff:10.1.2.1", true},
		{"only denied", Config{Deny: prefixes("10.0.0.0/8")}, "10.0.0.1", true},
		{"not denied", Config{Deny: prefixes("10.0.0.0/8")}, "11.0.0.1", false},
		{"all of IPv4", Config{Allow: prefixes("0.0.0.0/0")}, "255.255.255.255", false},
		{"is not IPv6", Config{Allow: prefixes("0.0.0.0/0")}, "::1", true},
		{"all of IPv6", Config{Allow: prefixes("::/0")}, "::1", false},
		{"is not IPv4", Config{Allow: prefixes("::/0")}, "127.0.0.1", true},
		{"written 4 in 6", Config{Allow: prefixes("::ffff:10.0.0.0/104")}, "10.9.9.9", false},
		{"host bits", Config{Allow: prefixes("10.1.2.3/8")}, "10.9.9.9", false},
		{"no address, allowed none", nested, "", true},
		{"no address, denied some", Config{Deny: prefixes("0.0.0.0/0", "::/0")}, "", false},
	} {
		x := &exchange.Exchange{}
		if c.client != "" {
			x.Client = netip.MustParseAddr(c.client)
		}
		err := build(t, c.settings).OnRequest(context.Background(), x)
		if (err != nil) != c.refused || c.refused && failure.From(err).Code() != 403 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestEmptyIsAnError(t *testing.T) {
	if _, err := New(filter.Env{}, Config{}); err == nil {
		t.Error("an ipAllow that admits everybody was built")
	}
	if typ := Type(); typ.Name != "ipAllow" || !typ.Repeat || typ.Phase != filter.Admit {
		t.Errorf("%+v", typ)
	}
}

// TestAgainstPrefixes compares many ranges with asking each.
func TestAgainstPrefixes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	address := func() netip.Addr {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], random.Uint32()&0x0f0f0f0f)
		return netip.AddrFrom4(b)
	}
	var all []netip.Prefix
	for range 50 {
		all = append(all, netip.PrefixFrom(address(), 6+random.IntN(27)))
	}
	r := newRanges(all)
	hits := 0
	for range 20_000 {
		a := address()
		want := slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
		if r.contain(a) != want {
			t.Fatalf("%s: %v, want %v", a, !want, want)
		}
		if want {
			hits++
		}
	}
	if hits == 0 || hits == 20_000 {
		t.Fatalf("%d hits prove nothing", hits)
	}
}

func BenchmarkOnRequest(b *testing.B) {
	var c Config
	for i := range 1000 {
		c.Deny = append(c.Deny, netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/25", i/256, i%256)))
	}
	f, x := build(b, c), &exchange.Exchange{Client: netip.MustParseAddr("10.1.200.200")}
	b.ReportAllocs()
	for b.Loop() {
		if f.OnRequest(context.Background(), x) != nil {
			b.Fatal("refused")
		}
	}
}
