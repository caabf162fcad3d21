package connect

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/failure"
)

// coding is a compression that messages are converted under. Where they are not, any passes that both ends know.
type coding struct {
	unpack func(io.Reader) (io.Reader, error)
	pack   func(io.Writer) io.WriteCloser
}

var codings = map[string]coding{
	"gzip": {
		func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	},
	"deflate": {
		func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
		func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	},
	"br": {
		func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
		func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	},
	"zstd": {newZstdReader, newZstdWriter},
	"snappy": {
		func(r io.Reader) (io.Reader, error) { return snappy.NewReader(r), nil },
		func(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) },
	},
}

// acceptable names them, for a client that uses another.
const acceptable = "gzip, deflate, br, zstd, snappy"

// zstdWindow bounds the memory that a frame may ask for before it brings anything.
const zstdWindow = 8 << 20

// One at a time, so that neither starts a goroutine.
func newZstdReader(r io.Reader) (io.Reader, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
}

func newZstdWriter(w io.Writer) io.WriteCloser {
	e, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil { // of options, which are these
		return failed{err}
	}
	return e
}

type failed struct{ err error }

func (f failed) Write([]byte) (int, error) { return 0, f.err }
func (f failed) Close() error              { return f.err }

var errCoding = errors.New("the message is compressed in a way that is not known here")

// unpack is a message without its compression. It may not come to more than limit, if that is above 0.
func unpack(name string, message []byte, limit int) ([]byte, error) {
	how, known := codings[name]
	if !known {
		return nil, errCoding
	}
	r, err := how.unpack(bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	if limit > 0 {
		r = io.LimitReader(r, int64(limit)+1)
	}
	plain, err := io.ReadAll(r)
	if err == nil && limit > 0 && len(plain) > limit {
		err = &wire.TooLargeError{Limit: limit}
	}
	return plain, err
}

// pack is a message with its compression.
func pack(name string, message []byte) ([]byte, error) {
	var b bytes.Buffer
	w := codings[name].pack(&b)
	_, err := w.Write(message)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, &failure.Error{Kind: failure.ProxyInternalError, Err: err}
	}
	return b.Bytes(), nil
}

// codingOf is the name of a compression, empty for none.
func codingOf(value string) string {
	if value == "identity" {
		return ""
	}
	return value
}

// acceptOf is what a list of accepted codings comes to without weights, which gRPC's has not: "gzip, br". One that is
// refused (q=0) and "*" are left out.
func acceptOf(values []string) string {
	var names []string
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, weight, _ := strings.Cut(part, ";")
		name, weight = strings.TrimSpace(name), strings.TrimSpace(weight)
		if name == "" || name == "*" || strings.HasPrefix(weight, "q=0") && strings.Trim(weight[3:], ".0") == "" {
			continue
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// intersect leaves what can be converted here.
func intersect(accept string) string {
	if accept == "" {
		return ""
	}
	names := slices.DeleteFunc(strings.Split(accept, ", "), func(name string) bool {
		_, known := codings[name]
		return !known
	})
	return strings.Join(names, ", ")
}
