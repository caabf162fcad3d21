// Package compress is the filter compress: it encodes responses with zstd, br or gzip (RFC 9110 section 8.4).
//
// The client's Accept-Encoding decides; among what it likes equally, the order of `algorithms`. Encoded are responses
// of a type in `types`, of at least `minBytes` if their length is known. Never encoded: server-sent events and gRPC;
// what has a Content-Encoding already; a part of something (206, Content-Range); what says Cache-Control: no-transform;
// answers without a body (HEAD, 1xx, 204, 304). Vary names Accept-Encoding on everything that could have been encoded;
// a strong ETag becomes a weak one; Content-Length, Accept-Ranges and digests of the content go.
//
// The body streams. What is read from the service in one piece, at most 32 KiB, is encoded and flushed before more is
// waited for, so a service that writes little by little is heard little by little. The cost is a few bytes a piece and
// slightly worse compression than of the whole. An encoder holds about 1 MiB while its body is being written.
//
// Secrets in a compressed body that also repeats what the client sent can be guessed from its length over TLS (BREACH):
// switch the filter off on such routes.
package compress

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-gateway/sluice/exchange"
	"github.com/sluice-gateway/sluice/filter"
)

// Config encodes responses for clients that accept it.
type Config struct {
	// Algorithms are those in use, the preferred first.
	Algorithms []string `yaml:"algorithms" enum:"zstd,br,gzip" default:"zstd,br,gzip"`
	// MinBytes is the least length worth encoding, 0 to 1 GiB. A response whose length is not known is taken for long.
	MinBytes filter.Size `yaml:"minBytes" default:"1KiB" min:"0" max:"1GiB"`
	// Types are the media types to encode: text/html, text/*, or *+json for all that end so.
	Types []string `yaml:"types" default:"text/*,application/json,application/javascript,application/xml,application/wasm,application/manifest+json,image/svg+xml,*+json,*+xml"`
	// Level is how hard to try: fastest, default or best. best costs several times the CPU of default.
	Level string `yaml:"level" enum:"fastest,default,best" default:"default"`
}

// Type is the filter for the registry.
func Type() filter.Type { return filter.Define("compress", filter.Respond, New) }

// Filter is one compress.
type Filter struct {
	codings  []*coding // the preferred first
	minBytes int64
	types    types
}

var _ filter.ResponseFilter = (*Filter)(nil)

// New makes the filter.
func New(_ filter.Env, c Config) (filter.Filter, error) {
	if len(c.Algorithms) == 0 {
		return nil, filter.Setting("algorithms", "none is left: write zstd, br or gzip, or `compress: off`")
	}
	f := &Filter{minBytes: int64(c.MinBytes)}
	var errs []error
	for _, name := range c.Algorithms {
		coding, err := newCoding(name, c.Level)
		errs = append(errs, err)
		f.codings = append(f.codings, coding)
	}
	var err error
	f.types, err = newTypes(c.Types)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return f, nil
}

// OnResponse wraps the body of what is worth encoding.
func (f *Filter) OnResponse(_ context.Context, x *exchange.Exchange) error {
	r := x.Response
	if !f.eligible(r) {
		return nil
	}
	addVary(r.Header)
	if x.In.Method == http.MethodHead {
		return nil
	}
	if c := choose(f.codings, x.In.Header["Accept-Encoding"]); c != nil {
		c.encode(r)
	}
	return nil
}

// eligible reports whether r would be encoded for a client that accepts it.
func (f *Filter) eligible(r *http.Response) bool {
	switch r.StatusCode {
	case http.StatusNoContent, http.StatusPartialContent, http.StatusNotModified:
		return false
	}
	if r.StatusCode < 200 || r.Body == nil || r.Body == http.NoBody || r.ContentLength >= 0 && r.ContentLength < f.minBytes {
		return false
	}
	h := r.Header
	if len(h["Content-Encoding"]) > 0 || len(h["Content-Range"]) > 0 || len(h["Content-Type"]) != 1 {
		return false
	}
	return f.types.match(h["Content-Type"][0]) && !httpguts.HeaderValuesContainsToken(h["Cache-Control"], "no-transform")
}

func addVary(h http.Header) {
	before := h["Vary"]
	if httpguts.HeaderValuesContainsToken(before, "Accept-Encoding") || httpguts.HeaderValuesContainsToken(before, "*") {
		return
	}
	h["Vary"] = append(before[:len(before):len(before)], "Accept-Encoding")
}

// encode makes r a response in the coding c.
func (c *coding) encode(r *http.Response) {
	h := r.Header
	h["Content-Encoding"] = c.field
	for _, name := range [...]string{"Content-Length", "Accept-Ranges", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"} {
		delete(h, name) // they speak of other bytes than those that will be sent
	}
	if tag := h["Etag"]; len(tag) == 1 && !strings.HasPrefix(tag[0], "W/") {
		h["Etag"] = []string{"W/" + tag[0]}
	}
	r.Body = newBody(c, r.Body, r.ContentLength)
	r.ContentLength = -1
	r.Uncompressed = false
}

// types are media types in lower case: whole ones, and those with a * at an end.
type types struct {
	exact            map[string]bool
	prefixes, suffix []string // text/ and +json
}

func newTypes(written []string) (types, error) {
	t := types{exact: make(map[string]bool)}
	for _, text := range written {
		text = strings.ToLower(strings.TrimSpace(text))
		switch {
		case strings.HasPrefix(text, "*+") && len(text) > 2:
			t.suffix = append(t.suffix, text[1:])
		case strings.HasSuffix(text, "/*") && len(text) > 2 && !strings.HasPrefix(text, "*"):
			t.prefixes = append(t.prefixes, text[:len(text)-1])
		case strings.Count(text, "/") == 1 && !strings.ContainsAny(text, "*; "):
			t.exact[text] = true
		default:
			return types{}, filter.Setting("types", "%q is no media type: write text/html, text/* or *+json", text)
		}
	}
	return t, nil
}

func (t types) match(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if media == "text/event-stream" || strings.HasPrefix(media, "application/grpc") {
		return false
	}
	if t.exact[media] {
		return true
	}
	for _, prefix := range t.prefixes {
		if strings.HasPrefix(media, prefix) {
			return true
		}
	}
	for _, suffix := range t.suffix {
		if strings.HasSuffix(media, suffix) {
			return true
		}
	}
	return false
}
