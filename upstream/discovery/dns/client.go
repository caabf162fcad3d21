package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// resolver asks for the records of a name. A name that does not exist is an answer without records.
type resolver interface {
	resolve(ctx context.Context, name string, t uint16) (answer, error)
}

// answer is what a server said about a name.
type answer struct {
	records []dns.RR // of the type asked for
	chain   []dns.RR // the CNAME records that led to them
	extra   []dns.RR // what came along
}

// client is the resolver that asks servers. It is the only user of the library's network code.
type client struct {
	server   string // empty: those of resolvConf, read anew for each name
	udp, tcp *dns.Client
}

// resolvConf is where the system says which servers to ask.
const resolvConf = "/etc/resolv.conf"

const (
	udpSize    = 1232 // what passes without being fragmented nearly everywhere (dnsflagday.net/2020)
	maxServers = 4
	maxNames   = 8  // of a search list
	maxChain   = 16 // CNAME records one after another
)

func newClient(server string, timeout time.Duration) *client {
	if server != "" {
		server = withPort(server)
	}
	return &client{
		server: server,
		udp:    &dns.Client{Net: "udp", Timeout: timeout, UDPSize: udpSize},
		tcp:    &dns.Client{Net: "tcp", Timeout: timeout},
	}
}

func withPort(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), "53")
}

// resolve implements resolver. Of a search list the first name that has records counts.
func (c *client) resolve(ctx context.Context, name string, t uint16) (answer, error) {
	servers, names, err := c.plan(name)
	if err != nil {
		return answer{}, err
	}
	for _, name := range names {
		got, err := c.askAll(ctx, servers, name, t)
		if err != nil || len(got.records) > 0 {
			return got, err // a failure is no reason to go on to another name, which may be somebody else's
		}
	}
	return answer{}, nil
}

// plan says whom to ask for what.
func (c *client) plan(name string) (servers, names []string, err error) {
	if c.server != "" {
		return []string{c.server}, []string{dns.Fqdn(name)}, nil
	}
	conf, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil {
		return nil, nil, fmt.Errorf("no server to ask: %w", err)
	}
	for _, server := range conf.Servers[:min(len(conf.Servers), maxServers)] {
		servers = append(servers, net.JoinHostPort(server, conf.Port))
	}
	if len(servers) == 0 {
		return nil, nil, errors.New("no server to ask: " + resolvConf + " names none")
	}
	names = conf.NameList(name)
	return servers, names[:min(len(names), maxNames)], nil
}

// askAll asks one server after another until one answers.
func (c *client) askAll(ctx context.Context, servers []string, name string, t uint16) (answer, error) {
	var failed error
	for _, server := range servers {
		got, err := c.ask(ctx, server, name, t)
		if err == nil || ctx.Err() != nil {
			return got, err
		}
		failed = err
	}
	return answer{}, failed
}

func (c *client) ask(ctx context.Context, server, name string, t uint16) (answer, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, t)
	q.SetEdns0(udpSize, false)
	r, err := exchange(ctx, c.udp, q, server)
	if err == nil && r.Truncated {
		r, err = exchange(ctx, c.tcp, q, server)
	}
	if err != nil {
		return answer{}, fmt.Errorf("%s does not answer for %s: %w", server, name, err)
	}
	got, err := read(q, r)
	if err != nil {
		return answer{}, fmt.Errorf("%s answers for %s: %w", server, name, err)
	}
	return got, nil
}

// exchange asks one question. The library looks at ctx only for its deadline, so what waits for an answer is woken by
// closing its connection: a reload must not wait for a server that is silent.
func exchange(ctx context.Context, c *dns.Client, q *dns.Msg, server string) (*dns.Msg, error) {
	conn, err := c.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	r, _, err := c.ExchangeWithConnContext(ctx, q, conn)
	return r, err
}

// read takes an answer apart. Records count only if they belong to the name, or to what its CNAME records lead to.
func read(q, r *dns.Msg) (answer, error) {
	switch {
	case !r.Response || len(r.Question) != 1 || r.Question[0].Qtype != q.Question[0].Qtype ||
		!strings.EqualFold(r.Question[0].Name, q.Question[0].Name):
		return answer{}, errors.New("this is no answer to the question")
	case r.Truncated:
		return answer{}, errors.New("the answer is cut short, over TCP too")
	case r.Rcode == dns.RcodeNameError:
		return answer{}, nil
	case r.Rcode != dns.RcodeSuccess:
		return answer{}, errors.New(rcode(r.Rcode))
	}
	if len(r.Answer) > discovery.MaxEndpoints {
		return answer{}, fmt.Errorf("%d records; at most %d are taken", len(r.Answer), discovery.MaxEndpoints)
	}
	got := answer{extra: r.Extra}
	name := q.Question[0].Name
	for range maxChain {
		if got.records = owned(r.Answer, name, q.Question[0].Qtype); len(got.records) > 0 {
			return got, nil
		}
		alias := owned(r.Answer, name, dns.TypeCNAME)
		if len(alias) == 0 {
			return got, nil
		}
		got.chain = append(got.chain, alias[0])
		name = alias[0].(*dns.CNAME).Target
	}
	return answer{}, errors.New("the CNAME records lead nowhere")
}

func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("code %d", code)
}
