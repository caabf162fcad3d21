package dns

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// zone is a DNS server on loopback, over UDP and TCP, whose records a test changes.
type zone struct {
	address string

	mu      sync.Mutex
	records map[string][]dns.RR // by "name type"
	rcode   map[string]int      // by name
	asked   []string            // "network name type"
	edit    func(r *dns.Msg)    // changes an answer before it is sent; nil: nothing
}

func newZone(t *testing.T) *zone {
	t.Helper()
	z := &zone{records: make(map[string][]dns.RR), rcode: make(map[string]int)}
	udp, tcp := listenBoth(t)
	z.address = udp.LocalAddr().String()
	for network, s := range map[string]*dns.Server{"udp": {PacketConn: udp}, "tcp": {Listener: tcp}} {
		started, done := make(chan struct{}), make(chan struct{})
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { z.answer(w, q, network) })
		s.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(done); s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { s.Shutdown(); <-done })
	}
	return z
}

// listenBoth finds a port that is free for UDP and for TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if tcp, err := net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

// has puts records in the zone, in the form of a zone file, in place of those of the same name and type.
func (z *zone) has(t *testing.T, name, kind string, lines ...string) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[name+" "+kind] = nil
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		z.records[name+" "+kind] = append(z.records[name+" "+kind], rr)
	}
}

func (z *zone) fails(name string, code int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.rcode[name] = code
}

func (z *zone) edits(edit func(r *dns.Msg)) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.edit = edit
}

func (z *zone) answer(w dns.ResponseWriter, q *dns.Msg, network string) {
	z.mu.Lock()
	name, kind := q.Question[0].Name, dns.TypeToString[q.Question[0].Qtype]
	z.asked = append(z.asked, network+" "+name+" "+kind)
	r := new(dns.Msg).SetReply(q)
	r.Answer = z.records[name+" "+kind]
	r.Extra = z.records[name+" extra "+kind]
	if cname := z.records[name+" CNAME"]; cname != nil {
		r.Answer = append(append([]dns.RR{}, cname...), z.records[cname[0].(*dns.CNAME).Target+" "+kind]...)
	}
	if z.rcode[name] != 0 {
		r.Rcode, r.Answer = z.rcode[name], nil
	}
	if network == "udp" {
		r.Truncate(int(q.IsEdns0().UDPSize()))
	}
	if z.edit != nil {
		z.edit(r)
	}
	z.mu.Unlock()
	w.WriteMsg(r)
}

func (z *zone) questions() string {
	z.mu.Lock()
	defer z.mu.Unlock()
	all := strings.Join(z.asked, ", ")
	z.asked = nil
	return all
}

func (z *zone) source(c Config) *Source {
	if c.Type == "" {
		c.Type = A
	}
	if c.MaxTTL == 0 {
		c.MaxTTL = time.Hour
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	c.Name, c.Port, c.Scheme, c.Server = "orders.svc", 8080, "http", z.address
	return New(c)
}

// find is the endpoints found, in short, or why there are none.
func find(s *Source) (string, time.Duration) {
	answer, err := s.Find(context.Background())
	if err != nil {
		return err.Error(), 0
	}
	set, _, err := discovery.Sanitize(answer.Endpoints)
	if err != nil {
		return err.Error(), 0
	}
	var list []string
	for _, e := range set {
		list = append(list, fmt.Sprintf("%s*%d", strings.TrimPrefix(e.URL, "http://"), e.Weight))
	}
	return strings.Join(list, " "), answer.After
}

func wantFound(t *testing.T, s *Source, want string) time.Duration {
	t.Helper()
	got, after := find(s)
	if got != want {
		t.Errorf("found %s\nwant  %s", got, want)
	}
	return after
}

func wantFailure(t *testing.T, s *Source, part string) {
	t.Helper()
	if answer, err := s.Find(context.Background()); err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%v, %v; want an error with %q", answer, err, part)
	}
}

func TestBothFamilies(t *testing.T) {
	z := newZone(t)
	z.has(t, "orders.svc.", "A", "orders.svc. 30 IN A 10.0.0.2", "orders.svc. 60 IN A 10.0.0.1")
	z.has(t, "orders.svc.", "AAAA", "orders.svc. 20 IN AAAA 2001:db8::1")
	if ttl := wantFound(t, z.source(Config{}), "10.0.0.1:8080*1 10.0.0.2:8080*1"); ttl != 30*time.Second {
		t.Errorf("after %v, want the smallest TTL, 30s", ttl)
	}
	wantFound(t, z.source(Config{Type: AAAA}), "[2001:db8::1]:8080*1")
	if ttl := wantFound(t, z.source(Config{Type: Both}), "10.0.0.1:8080*1 10.0.0.2:8080*1 [2001:db8::1]:8080*1"); ttl != 20*time.Second {
		t.Errorf("after %v, want 20s", ttl)
	}
	z.has(t, "orders.svc.", "AAAA")
	wantFound(t, z.source(Config{Type: Both}), "10.0.0.1:8080*1 10.0.0.2:8080*1")
}

func TestTTLIsHonouredWithinFloorAndCeiling(t *testing.T) {
	z := newZone(t)
	s := z.source(Config{MinTTL: 5 * time.Second, MaxTTL: 5 * time.Minute})
	for ttl, want := range map[int]time.Duration{0: 5 * time.Second, 1: 5 * time.Second, 7: 7 * time.Second, 300: 5 * time.Minute, 86400: 5 * time.Minute, 1<<31 - 1: 5 * time.Minute} {
		z.has(t, "orders.svc.", "A", fmt.Sprintf("orders.svc. %d IN A 10.0.0.1", ttl))
		if got := wantFound(t, s, "10.0.0.1:8080*1"); got != want {
			t.Errorf("TTL %d is asked again after %v, want %v", ttl, got, want)
		}
	}
}

func TestANameThatIsNotThereIsEmpty(t *testing.T) {
	z := newZone(t)
	if after := wantFound(t, z.source(Config{MaxTTL: time.Hour}), ""); after != absent { // NOERROR without records
		t.Errorf("asked again after %v", after)
	}
	z.fails("orders.svc.", dns.RcodeNameError)
	for _, kind := range []string{A, AAAA, Both, SRV} {
		wantFound(t, z.source(Config{Type: kind}), "")
	}
}

func TestAServerThatFailsIsAFailure(t *testing.T) {
	z := newZone(t)
	for code, text := range map[int]string{
		dns.RcodeServerFailure: "SERVFAIL", dns.RcodeRefused: "REFUSED", dns.RcodeNotImplemented: "NOTIMP", dns.RcodeFormatError: "FORMERR",
	} {
		z.fails("orders.svc.", code)
		wantFailure(t, z.source(Config{}), text)
	}
}

// One family that cannot be asked for makes half an answer, which would throw away the other half's endpoints.
func TestHalfAnAnswerIsNone(t *testing.T) {
	z := newZone(t)
	z.has(t, "orders.svc.", "A", "orders.svc. 30 IN A 10.0.0.1")
	z.edits(func(r *dns.Msg) {
		if r.Question[0].Qtype == dns.TypeAAAA {
			r.Rcode = dns.RcodeServerFailure
		}
	})
	wantFailure(t, z.source(Config{Type: Both}), "SERVFAIL")
	wantFound(t, z.source(Config{}), "10.0.0.1:8080*1")
}

func TestATruncatedAnswerIsAskedForOverTCP(t *testing.T) {
	z := newZone(t)
	var lines []string
	for i := range 500 {
		lines = append(lines, fmt.Sprintf("orders.svc. 30 IN A 10.1.%d.%d", i/250, i%250+1))
	}
	z.has(t, "orders.svc.", "A", lines...)
	got, _ := find(z.source(Config{}))
	if n := len(strings.Fields(got)); n != 500 {
		t.Errorf("%d endpoints: %.100s", n, got)
	}
	if asked := z.questions(); asked != "udp orders.svc. A, tcp orders.svc. A" {
		t.Errorf("asked %s", asked)
	}
	z.edits(func(r *dns.Msg) { r.Truncated = true })
	wantFailure(t, z.source(Config{}), "cut short, over TCP too")
}

func TestSRV(t *testing.T) {
	for name, c := range map[string]struct {
		srv   []string
		extra []string // along with the answer, of type A
		hosts map[string][]string
		want  string
	}{
		"weights": {
			srv:   []string{"1 5 81 a.svc.", "1 1 82 b.svc."},
			hosts: map[string][]string{"a.svc. A": {"a.svc. 9 IN A 10.0.0.1"}, "b.svc. A": {"b.svc. 9 IN A 10.0.0.2"}},
			want:  "10.0.0.1:81*5 10.0.0.2:82*1",
		},
		"the preferred priority alone": {
			srv:   []string{"2 5 81 a.svc.", "1 3 82 b.svc.", "7 5 83 nowhere.svc."},
			hosts: map[string][]string{"b.svc. A": {"b.svc. 9 IN A 10.0.0.2"}},
			want:  "10.0.0.2:82*3",
		},
		"weight 0 beside others": {
			srv:   []string{"1 0 81 a.svc.", "1 2 82 b.svc."},
			hosts: map[string][]string{"a.svc. A": {"a.svc. 9 IN A 10.0.0.1"}, "b.svc. A": {"b.svc. 9 IN A 10.0.0.2"}},
			want:  "10.0.0.1:81*1 10.0.0.2:82*20",
		},
		"all of weight 0": {
			srv:   []string{"1 0 81 a.svc.", "1 0 82 b.svc."},
			hosts: map[string][]string{"a.svc. A": {"a.svc. 9 IN A 10.0.0.1"}, "b.svc. A": {"b.svc. 9 IN A 10.0.0.2"}},
			want:  "10.0.0.1:81*1 10.0.0.2:82*1",
		},
		"several addresses share a weight": {
			srv:   []string{"1 4 81 a.svc.", "1 4 82 b.svc."},
			hosts: map[string][]string{"a.svc. A": {"a.svc. 9 IN A 10.0.0.1", "a.svc. 9 IN A 10.0.0.3"}, "b.svc. A": {"b.svc. 9 IN A 10.0.0.2"}},
			want:  "10.0.0.1:81*20 10.0.0.2:82*40 10.0.0.3:81*20",
		},
		"IPv6 where there is no IPv4": {
			srv: []string{"1 1 81 a.svc.", "1 1 82 b.svc."},
			hosts: map[string][]string{
				"a.svc. A": {"a.svc. 9 IN A 10.0.0.1"}, "a.svc. AAAA": {"a.svc. 9 IN AAAA 2001:db8::1"}, "b.svc. AAAA": {"b.svc. 9 IN AAAA 2001:db8::2"},
			},
			want: "10.0.0.1:81*1 [2001:db8::2]:82*1",
		},
		"what came along is not asked for": {
			srv:   []string{"1 1 81 A.svc."},
			extra: []string{"a.SVC. 4 IN A 10.0.0.9", "other.svc. 4 IN A 10.6.6.6"},
			want:  "10.0.0.9:81*1",
		},
		"no such service here":          {srv: []string{"0 0 0 ."}, want: ""},
		"a target without an address":   {srv: []string{"1 1 81 gone.svc."}, want: "the target gone.svc. has no address"},
		"a port that cannot be":         {srv: []string{"1 1 0 a.svc."}, hosts: map[string][]string{"a.svc. A": {"a.svc. 9 IN A 10.0.0.1"}}, want: `endpoint 1 of 1: "http://10.0.0.1:0": the port is a number from 1 to 65535`},
		"a target that is an alias too": {srv: []string{"1 1 81 c.svc."}, hosts: map[string][]string{"c.svc. CNAME": {"c.svc. 3 IN CNAME a.svc."}, "a.svc. A": {"a.svc. 9 IN A 10.0.0.1"}}, want: "10.0.0.1:81*1"},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZone(t)
			var lines []string
			for _, srv := range c.srv {
				lines = append(lines, "orders.svc. 30 IN SRV "+srv)
			}
			z.has(t, "orders.svc.", "SRV", lines...)
			z.has(t, "orders.svc.", "extra SRV", c.extra...)
			for key, lines := range c.hosts {
				host, kind, _ := strings.Cut(key, " ")
				z.has(t, host, kind, lines...)
			}
			s := z.source(Config{Type: SRV})
			after := wantFound(t, s, c.want)
			if asked := z.questions(); c.extra != nil && asked != "udp orders.svc. SRV" {
				t.Errorf("asked %s", asked)
			}
			if c.hosts != nil && after > 9*time.Second {
				t.Errorf("asked again after %v, want the TTL of the addresses", after)
			}
		})
	}
}

func TestSRVTargetsAreBounded(t *testing.T) {
	z := newZone(t)
	var lines []string
	for i := range maxTargets + 1 {
		lines = append(lines, fmt.Sprintf("orders.svc. 30 IN SRV 1 1 %d a%d.svc.", i+1, i))
	}
	z.has(t, "orders.svc.", "SRV", lines...)
	wantFailure(t, z.source(Config{Type: SRV}), "257 SRV records of one priority; at most 256")
}

func TestAliases(t *testing.T) {
	z := newZone(t)
	z.has(t, "orders.svc.", "CNAME", "orders.svc. 12 IN CNAME blue.svc.")
	z.has(t, "blue.svc.", "A", "blue.svc. 30 IN A 10.0.0.1", "green.svc. 30 IN A 10.6.6.6")
	if ttl := wantFound(t, z.source(Config{}), "10.0.0.1:8080*1"); ttl != 12*time.Second {
		t.Errorf("after %v, want the alias's TTL", ttl)
	}
	z.has(t, "orders.svc.", "CNAME", "orders.svc. 12 IN CNAME a.svc.", "a.svc. 12 IN CNAME orders.svc.")
	wantFailure(t, z.source(Config{}), "lead nowhere")
}

// Records of other names and classes, and answers to other questions, put nothing in force.
func TestWhatWasNotAskedForIsNotTaken(t *testing.T) {
	z := newZone(t)
	z.has(t, "orders.svc.", "A", "other.svc. 30 IN A 10.6.6.6", "orders.svc. 30 CH A 10.6.6.7", "ORDERS.svc. 30 IN A 10.0.0.1")
	wantFound(t, z.source(Config{}), "10.0.0.1:8080*1")
	z.edits(func(r *dns.Msg) { r.Question[0].Name = "other.svc." })
	wantFailure(t, z.source(Config{}), "no answer to the question")
	z.edits(func(r *dns.Msg) { r.Response = false })
	wantFailure(t, z.source(Config{}), "no answer to the question")
	z.edits(func(r *dns.Msg) { r.Question = nil })
	wantFailure(t, z.source(Config{}), "orders.svc.")
}

func TestASilentServerIsAFailure(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := New(Config{Name: "orders.svc", Type: A, Port: 1, Scheme: "http", Server: silent.LocalAddr().String(), Timeout: 50 * time.Millisecond, MaxTTL: time.Hour})
	wantFailure(t, s, "timeout")

	s.Config.Timeout = time.Hour
	s = New(s.Config)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := s.Find(ctx)
		ended <- err
	}()
	for range 2 { // the first question ended above
		if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
	}
	cancel() // while it waits for the answer
	if err := <-ended; err == nil {
		t.Error("a cancelled question was answered")
	}
}

func TestTheNextServerIsAsked(t *testing.T) {
	z := newZone(t)
	z.has(t, "orders.svc.", "A", "orders.svc. 30 IN A 10.0.0.1")
	closed := freeport.For(t)
	c := newClient("", 2*time.Second)
	got, err := c.askAll(t.Context(), []string{closed, z.address}, "orders.svc.", dns.TypeA)
	if err != nil || len(got.records) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := c.askAll(t.Context(), []string{closed}, "orders.svc.", dns.TypeA); err == nil {
		t.Error("nobody was there and yet there is an answer")
	}
}

func TestTheSystemsServersAndSearchListAreUsed(t *testing.T) {
	servers, names, err := newClient("", time.Second).plan("orders.svc.cluster.local.")
	if err != nil {
		t.Skip("this system has no resolv.conf: ", err)
	}
	if len(servers) == 0 || len(servers) > maxServers || len(names) != 1 {
		t.Errorf("asks %v for %v", servers, names)
	}
	servers, names, _ = newClient("[::1]", time.Second).plan("orders.svc")
	if fmt.Sprint(servers, names) != "[[::1]:53] [orders.svc.]" {
		t.Errorf("asks %v for %v", servers, names)
	}
}

func TestChangesAreFollowed(t *testing.T) {
	z := newZone(t)
	z.has(t, "orders.svc.", "A", "orders.svc. 0 IN A 10.0.0.1")
	sets := make(chan []discovery.Endpoint, 10)
	w := discovery.New(discovery.Options{Source: z.source(Config{}), Apply: func(set []discovery.Endpoint) { sets <- set }})
	w.Start()
	defer w.Stop()
	if set := <-sets; len(set) != 1 || set[0].URL != "http://10.0.0.1:8080" {
		t.Errorf("first %v", set)
	}
	z.has(t, "orders.svc.", "A", "orders.svc. 0 IN A 10.0.0.1", "orders.svc. 0 IN A 10.0.0.2")
	if set := <-sets; len(set) != 2 {
		t.Errorf("then %v", set)
	}
}

// Whatever a server sends, reading it neither panics nor gives a record that does not belong to the question.
func FuzzRead(f *testing.F) {
	q := new(dns.Msg).SetQuestion("orders.svc.", dns.TypeA)
	for _, lines := range [][]string{{"orders.svc. 0 IN A 10.0.0.1"}, {"orders.svc. 0 IN CNAME a.", "a. 0 IN A 10.0.0.1"}, {"orders.svc. 0 IN CNAME orders.svc."}} {
		r := new(dns.Msg).SetReply(q)
		for _, line := range lines {
			rr, _ := dns.NewRR(line)
			r.Answer = append(r.Answer, rr)
		}
		packed, _ := r.Pack()
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := new(dns.Msg)
		if r.Unpack(data) != nil {
			return
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV} {
			q.Question[0].Qtype = kind
			got, err := read(q, r)
			if err != nil {
				continue
			}
			for _, rr := range got.records {
				if rr.Header().Rrtype != kind {
					t.Errorf("%v is no answer to a question of type %d", rr, kind)
				}
			}
			addresses(got.records)
			mostPreferred(got.records)
			(&lookup{}).seen(got.chain)
		}
	})
}
