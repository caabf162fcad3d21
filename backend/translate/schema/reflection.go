package schema

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
)

// The service is asked in rounds: which services it has, then the files that declare them, then what those import, until
// nothing is missing. Each round is one call that sends all of its questions at once and closes its side; servers answer
// them in order. The messages are those of grpc/reflection/v1/reflection.proto, of which v1alpha is a copy.

// Caller sends a request to the service, with all of its policy.
type Caller func(context.Context, *http.Request) (*http.Response, error)

const (
	refreshEvery = time.Minute      // while the last fetch succeeded
	retryFirst   = time.Second      // after a failed one; doubles
	retryMost    = 30 * time.Second // up to here
	fetchTimeout = 20 * time.Second
	maxRounds    = 32
)

// Reflected is a schema that asks the service itself, once it is started. From before, a schema of the same service or
// nil, it takes over what is known.
func Reflected(call Caller, before *Schema) *Schema {
	s := &Schema{fetcher: &fetcher{call: call}}
	if before != nil {
		s.set.Store(before.Set())
	}
	return s
}

// fetcher is the goroutine that asks.
type fetcher struct {
	call   Caller
	begin  sync.Once
	cancel context.CancelFunc
	over   sync.WaitGroup
	last   []byte // the descriptors as they came, to see whether anything has changed
}

// Start begins to fetch, if there is anything to fetch and it has not begun yet.
func (s *Schema) Start() {
	f := s.fetcher
	if f == nil {
		return
	}
	f.begin.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		f.cancel = cancel
		f.over.Go(func() { s.keepFetching(ctx) })
	})
}

// Stop ends fetching. The set stays for the requests that are still on their way. It comes after Start, or for good.
func (s *Schema) Stop() {
	f := s.fetcher
	if f == nil {
		return
	}
	f.begin.Do(func() {})
	if f.cancel != nil {
		f.cancel()
		f.over.Wait()
	}
}

func (s *Schema) keepFetching(ctx context.Context) {
	wait := retryFirst
	for {
		pause := refreshEvery
		if err := s.fetch(ctx); err != nil && ctx.Err() == nil {
			s.failed.Store(&err)
			pause, wait = wait, min(2*wait, retryMost)
		} else {
			s.failed.Store(nil)
			wait = retryFirst
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// fetch puts in force what the service says of itself, if that is another thing than before.
func (s *Schema) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	files, err := reflect(ctx, s.fetcher.call)
	if err != nil {
		return err
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(files)
	if err != nil || bytes.Equal(data, s.fetcher.last) && s.Set() != nil {
		return err
	}
	set, err := New(files)
	if err != nil {
		return err
	}
	s.fetcher.last = data
	s.set.Store(set)
	return nil
}

// Fields of ServerReflectionRequest.
const (
	fileByFilename       = 3
	fileContainingSymbol = 4
	listServices         = 7
)

// conversation is one fetch.
type conversation struct {
	call    Caller
	version string // v1 | v1alpha
	bytes   int
	files   map[string]*descriptorpb.FileDescriptorProto
	order   []string
}

func reflect(ctx context.Context, call Caller) (*descriptorpb.FileDescriptorSet, error) {
	c := &conversation{call: call, version: "v1", files: make(map[string]*descriptorpb.FileDescriptorProto)}
	services, err := c.services(ctx)
	if unimplemented := (*statusError)(nil); errors.As(err, &unimplemented) && unimplemented.Code == grpc.Unimplemented {
		c.version = "v1alpha"
		services, err = c.services(ctx)
	}
	if err != nil {
		return nil, err
	}
	field, missing := protowire.Number(fileContainingSymbol), services
	for range maxRounds {
		if len(missing) == 0 {
			return c.set(), nil
		}
		answers, err := c.ask(ctx, field, missing)
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			if a.refused != nil && field == fileByFilename {
				return nil, a.refused
			}
			if err := c.take(a.files); err != nil {
				return nil, err
			}
		}
		if len(c.files) == 0 { // a service or two without a descriptor are passed over
			return nil, answers[0].refused
		}
		field, missing = fileByFilename, c.missing()
	}
	return nil, errors.New("the service's files import each other deeper than can be followed")
}

func (c *conversation) services(ctx context.Context) ([]string, error) {
	answers, err := c.ask(ctx, listServices, []string{"*"})
	if err != nil {
		return nil, err
	}
	if answers[0].refused != nil {
		return nil, answers[0].refused
	}
	var names []string
	for _, name := range answers[0].services {
		if !strings.HasPrefix(name, "grpc.reflection.") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the service tells of no service but reflection")
	}
	if len(names) > MaxFiles {
		return nil, fmt.Errorf("the service tells of more than %d services", MaxFiles)
	}
	return names, nil
}

func (c *conversation) take(files [][]byte) error {
	for _, data := range files {
		f := new(descriptorpb.FileDescriptorProto)
		if err := proto.Unmarshal(data, f); err != nil {
			return errors.New("the service sent a file descriptor that cannot be read")
		}
		if c.files[f.GetName()] == nil {
			c.files[f.GetName()] = f
			c.order = append(c.order, f.GetName())
		}
		if len(c.files) > MaxFiles {
			return fmt.Errorf("the service tells of more than %d files", MaxFiles)
		}
	}
	return nil
}

// missing are the imports that nobody has sent. Google's own are known here, but the service's are asked for first: they
// may be newer.
func (c *conversation) missing() []string {
	var missing []string
	seen := make(map[string]bool)
	for _, name := range c.order {
		for _, dependency := range c.files[name].Dependency {
			if c.files[dependency] != nil || seen[dependency] {
				continue
			}
			if _, err := wellKnown(dependency); err != nil {
				seen[dependency] = true
				missing = append(missing, dependency)
			}
		}
	}
	return missing
}

func (c *conversation) set() *descriptorpb.FileDescriptorSet {
	set := new(descriptorpb.FileDescriptorSet)
	for _, name := range c.order {
		set.File = append(set.File, c.files[name])
	}
	return set
}

// statusError is a call that ended with another status than OK.
type statusError struct{ grpc.Status }

func (e *statusError) Error() string {
	return fmt.Sprintf("the service answered reflection with %s: %s", e.Code, e.Message)
}

// ask sends one question for each value and returns the answers in the same order.
func (c *conversation) ask(ctx context.Context, field protowire.Number, values []string) ([]answer, error) {
	var body []byte
	for _, v := range values {
		question := protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), v)
		body = append(grpc.AppendHeader(body, 0, len(question)), question...)
	}
	res, err := c.call(ctx, &http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Opaque: "/grpc.reflection." + c.version + ".ServerReflection/ServerReflectionInfo"},
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Accept-Encoding": {"identity"}, "User-Agent": {"sluice"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	stop := context.AfterFunc(ctx, func() { res.Body.Close() })
	defer stop()
	return c.answers(res, len(values))
}

func (c *conversation) answers(res *http.Response, due int) ([]answer, error) {
	if status, only := grpc.StatusOf(res.Header); only && status.Code != grpc.OK {
		return nil, &statusError{status}
	}
	if res.StatusCode != http.StatusOK || !grpc.Is(res.Header) {
		return nil, fmt.Errorf("the service answered reflection with HTTP status %d and no gRPC", res.StatusCode)
	}
	var all []answer
	frames := grpc.Reader{From: res.Body, Limit: MaxBytes}
	for {
		message, err := frames.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if c.bytes += len(message); c.bytes > MaxBytes {
			return nil, fmt.Errorf("the service's descriptors come to more than %d bytes", MaxBytes)
		}
		a, err := readAnswer(message)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	status, found := grpc.StatusOf(res.Trailer)
	if !found {
		return nil, errors.New("the service's answer to reflection ended without a status")
	}
	if status.Code != grpc.OK {
		return nil, &statusError{status}
	}
	if len(all) != due {
		return nil, fmt.Errorf("the service gave %d answers to %d questions", len(all), due)
	}
	return all, nil
}

// answer is a ServerReflectionResponse.
type answer struct {
	files    [][]byte
	services []string
	refused  error // what the service said in place of an answer
}

// Fields of ServerReflectionResponse.
const (
	fileDescriptorResponse = 4
	listServicesResponse   = 6
	errorResponse          = 7
)

func readAnswer(message []byte) (a answer, err error) {
	err = eachField(message, func(n protowire.Number, value []byte) error {
		switch n {
		case fileDescriptorResponse:
			return eachField(value, func(n protowire.Number, file []byte) error {
				if n == 1 {
					a.files = append(a.files, bytes.Clone(file))
				}
				return nil
			})
		case listServicesResponse:
			return eachField(value, func(n protowire.Number, service []byte) error {
				return eachField(service, func(field protowire.Number, name []byte) error {
					if n == 1 && field == 1 {
						a.services = append(a.services, string(name))
					}
					return nil
				})
			})
		case errorResponse:
			a.refused = errors.New("the service could not tell of itself")
			return eachField(value, func(n protowire.Number, text []byte) error {
				if n == 2 {
					a.refused = fmt.Errorf("the service could not tell of itself: %s", strings.ToValidUTF8(string(text[:min(len(text), 200)]), "?"))
				}
				return nil
			})
		}
		return nil
	})
	return a, err
}

var errAnswer = errors.New("the service's answer to reflection cannot be read")

// eachField calls f for every field of a message that has a length; the others are skipped.
func eachField(message []byte, f func(protowire.Number, []byte) error) error {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return errAnswer
		}
		message = message[size:]
		if kind != protowire.BytesType {
			if size = protowire.ConsumeFieldValue(n, kind, message); size < 0 {
				return errAnswer
			}
			message = message[size:]
			continue
		}
		value, size := protowire.ConsumeBytes(message)
		if size < 0 {
			return errAnswer
		}
		message = message[size:]
		if err := f(n, value); err != nil {
			return err
		}
	}
	return nil
}
