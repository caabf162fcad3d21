// Package consul discovers endpoints from the catalog of HashiCorp Consul: the instances of a service whose checks all
// pass, by /v1/health/service.
//
// It asks with blocking queries: each question carries the index of the answer before, and Consul answers when there is
// something newer or the wait is over. Consul's rules for the index are kept: one that goes backwards, or is none, means
// that the server began anew, so the next question does not block. An instance's weight is its Weights.Passing, its zone
// the value of a key of its Meta. Instances without an address have their node's.
package consul

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/upstream/discovery"
)

const (
	// maxAnswer bounds an answer. Consul takes 1 to 3 KiB for each instance.
	maxAnswer = 16 << 20
	// grace is what an answer may be late by. Consul itself adds up to a sixteenth of the wait.
	grace = 10 * time.Second
	// restless is the least time between two questions to a server that answers at once though nothing is new.
	restless = time.Second
)

// Config is what is asked.
type Config struct {
	Service    string
	Address    string // http://host:port or https://host:port
	Datacenter string // empty: the agent's
	Namespace  string // empty: the default
	Tags       []string
	Token      string // sent as X-Consul-Token; empty: none
	Scheme     string // of the endpoints
	ZoneMeta   string // key of an instance's Meta that says its zone; empty: none does
	Wait       time.Duration
	TLS        *tls.Config // for an https Address; nil: the system's authorities
}

// Source asks for one service. Make it with New.
type Source struct {
	Config
	client *http.Client
	index  uint64 // of the answer before; 0: the next question does not block
	last   []discovery.Endpoint
}

var _ discovery.Source = (*Source)(nil)

// New makes the source. Nothing is asked yet.
func New(c Config) *Source { return &Source{Config: c, client: discovery.Client(c.TLS, 0)} }

// String is how messages call the source.
func (s *Source) String() string { return "consul " + s.Service + " at " + s.Address }

// Close lets go of idle connections.
func (s *Source) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Find implements discovery.Source.
func (s *Source) Find(ctx context.Context) (discovery.Answer, error) {
	asked := s.index
	s.index = 0 // after a failure the next question does not block
	ctx, cancel := context.WithTimeout(ctx, s.patience(asked))
	defer cancel()
	res, err := s.ask(ctx, asked)
	if err != nil {
		return discovery.Answer{}, err
	}
	defer res.Body.Close()
	data, err := discovery.ReadBody(res, maxAnswer)
	if err != nil {
		return discovery.Answer{}, err
	}
	endpoints, err := s.parse(data)
	if err != nil {
		return discovery.Answer{}, err
	}
	unchanged := asked > 0 && slices.Equal(s.last, endpoints)
	s.index, s.last = next(asked, res.Header.Get("X-Consul-Index")), endpoints
	answer := discovery.Answer{Endpoints: endpoints}
	if unchanged || s.index == 0 {
		answer.After = restless // a wait that ended without news, or a server that does not let anybody wait
	}
	return answer, nil
}

// patience is how long a question may take.
func (s *Source) patience(index uint64) time.Duration {
	if index == 0 {
		return grace
	}
	return s.Wait + s.Wait/16 + grace
}

// next is the index to ask with after an answer to a question with the index asked.
func next(asked uint64, answered string) uint64 {
	index, err := strconv.ParseUint(answered, 10, 64)
	if err != nil || index < asked {
		return 0
	}
	return index
}

func (s *Source) ask(ctx context.Context, index uint64) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(index), nil)
	if err != nil {
		return nil, errors.New("the address is malformed")
	}
	if s.Token != "" {
		r.Header.Set("X-Consul-Token", s.Token)
	}
	res, err := s.client.Do(r)
	if err != nil {
		return nil, discovery.Plain(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	res.Body.Close()
	if res.StatusCode == http.StatusForbidden {
		return nil, errors.New("the answer's status is 403: the token needs service:read and node:read")
	}
	return nil, fmt.Errorf("the answer's status is %d", res.StatusCode)
}

func (s *Source) url(index uint64) string {
	q := url.Values{"passing": {"1"}}
	if index > 0 {
		q.Set("index", strconv.FormatUint(index, 10))
		q.Set("wait", strconv.FormatInt(s.Wait.Milliseconds(), 10)+"ms")
	}
	if s.Datacenter != "" {
		q.Set("dc", s.Datacenter)
	}
	if s.Namespace != "" {
		q.Set("ns", s.Namespace)
	}
	q["tag"] = s.Tags
	return strings.TrimSuffix(s.Address, "/") + "/v1/health/service/" + url.PathEscape(s.Service) + "?" + q.Encode()
}

// entry is what is read of an instance.
type entry struct {
	Node    struct{ Address string }
	Service struct {
		Address string
		Port    int
		Meta    map[string]string
		Weights *struct{ Passing int }
	}
	Checks []struct{ Status string }
}

func (s *Source) parse(data []byte) ([]discovery.Endpoint, error) {
	var entries []entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("the answer is not Consul's: %w", err)
	}
	if entries == nil {
		return nil, errors.New("the answer is not Consul's: it is no list")
	}
	if len(entries) > discovery.MaxEndpoints {
		return nil, fmt.Errorf("the answer has %d instances; at most %d are taken", len(entries), discovery.MaxEndpoints)
	}
	endpoints := make([]discovery.Endpoint, 0, len(entries))
	for i := range entries {
		if !entries[i].passes() {
			continue
		}
		e, err := s.endpoint(&entries[i])
		if err != nil {
			return nil, fmt.Errorf("instance %d of %d: %w", i+1, len(entries), err)
		}
		endpoints = append(endpoints, e)
	}
	return endpoints, nil
}

// passes looks again at what Consul was asked to leave out: a cache between may not have understood the question.
func (e *entry) passes() bool {
	for _, c := range e.Checks {
		if c.Status != "passing" {
			return false
		}
	}
	return true
}

func (s *Source) endpoint(e *entry) (discovery.Endpoint, error) {
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	switch {
	case host == "":
		return discovery.Endpoint{}, errors.New("neither the instance nor its node has an address")
	case e.Service.Port < 1 || e.Service.Port > 65535:
		return discovery.Endpoint{}, fmt.Errorf("the port %d is not from 1 to 65535", e.Service.Port)
	}
	found := discovery.Endpoint{URL: discovery.Address(s.Scheme, host, e.Service.Port), Weight: 1}
	if e.Service.Weights != nil {
		found.Weight = e.Service.Weights.Passing
	}
	if s.ZoneMeta != "" {
		found.Zone = e.Service.Meta[s.ZoneMeta]
	}
	return found, nil
}
