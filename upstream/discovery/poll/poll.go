// Package poll discovers endpoints by asking an HTTP endpoint at an interval: see discovery.Parse for what it answers.
//
// An ETag of the answer is sent back as If-None-Match (RFC 9110 section 13.1.2), so that an answer that has not changed
// costs a 304. Anything but 200 and 304 is a failure, redirects included: who may say where requests go is a matter of
// the configuration, not of an answer.
package poll

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/upstream/discovery"
)

// Config is what is asked.
type Config struct {
	URL      string
	Scheme   string // of endpoints that come without one
	Interval time.Duration
	Timeout  time.Duration // of one request, its answer included
	Token    string        // sent as Authorization: Bearer; empty: none
	TLS      *tls.Config   // for https; nil: the system's authorities
}

// Source asks one URL. Make it with New.
type Source struct {
	Config
	client *http.Client
	etag   string // of the answer before; empty: the whole answer is wanted
}

var _ discovery.Source = (*Source)(nil)

// New makes the source. Nothing is asked yet.
func New(c Config) *Source { return &Source{Config: c, client: discovery.Client(c.TLS, c.Timeout)} }

// String is how messages call the source. A query may hold what nobody should see.
func (s *Source) String() string { return "http " + discovery.WithoutQuery(s.URL) }

// Close lets go of idle connections.
func (s *Source) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Find implements discovery.Source.
func (s *Source) Find(ctx context.Context) (discovery.Answer, error) {
	etag := s.etag
	s.etag = ""
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return discovery.Answer{}, errors.New("the URL is malformed")
	}
	r.Header.Set("Accept", "application/json, application/yaml")
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	if s.Token != "" {
		r.Header.Set("Authorization", "Bearer "+s.Token)
	}
	res, err := s.client.Do(r)
	if err != nil {
		return discovery.Answer{}, discovery.Plain(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotModified && etag != "" {
		s.etag = etag
		return discovery.Answer{Unchanged: true, After: s.Interval}, nil
	}
	return s.read(res)
}

func (s *Source) read(res *http.Response) (discovery.Answer, error) {
	if res.StatusCode != http.StatusOK {
		return discovery.Answer{}, fmt.Errorf("the answer's status is %d", res.StatusCode)
	}
	data, err := discovery.ReadBody(res, discovery.MaxDocument)
	if err != nil {
		return discovery.Answer{}, err
	}
	endpoints, err := discovery.Parse(data, s.Scheme)
	if err != nil {
		return discovery.Answer{}, err
	}
	s.etag = res.Header.Get("ETag")
	return discovery.Answer{Endpoints: endpoints, After: s.Interval}, nil
}
