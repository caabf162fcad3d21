package grpc

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func frame(flags byte, message string) string {
	return string(AppendHeader(nil, flags, len(message))) + message
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReader(t *testing.T) {
	for name, test := range map[string]struct {
		stream string
		gzip   bool
		want   []string
		err    error
	}{
		"nothing":           {"", false, nil, io.EOF},
		"one":               {frame(0, "abc"), false, []string{"abc"}, io.EOF},
		"an empty one":      {frame(0, ""), false, []string{""}, io.EOF},
		"several":           {frame(0, "abc") + frame(0, "") + frame(0, "d"), false, []string{"abc", "", "d"}, io.EOF},
		"half a head":       {frame(0, "abc") + "\x00\x00", false, []string{"abc"}, ErrHalfFrame},
		"half a message":    {"\x00\x00\x00\x00\x05abc", false, nil, ErrHalfFrame},
		"a head alone":      {"\x00\x00\x00\x00\x05", false, nil, ErrHalfFrame},
		"a flag":            {frame(2, "abc"), false, nil, ErrFlags},
		"gzip":              {frame(1, zipped(t, "abc")) + frame(0, "d"), true, []string{"abc", "d"}, io.EOF},
		"gzip not agreed":   {frame(1, zipped(t, "abc")), false, nil, ErrCompression},
		"two gzip members":  {frame(1, zipped(t, "abc")+zipped(t, "d")), true, []string{"abcd"}, io.EOF},
		"over the limit":    {"\x00\x00\x00\x10\x01", false, nil, &TooLargeError{4096}},
		"a length of 4 GiB": {"\x00\xff\xff\xff\xff", false, nil, &TooLargeError{4096}},
		"a bomb":            {frame(1, zipped(t, strings.Repeat("a", 4097))), true, nil, &TooLargeError{4096}},
	} {
		for _, from := range []io.Reader{strings.NewReader(test.stream), iotest.OneByteReader(strings.NewReader(test.stream)), iotest.DataErrReader(strings.NewReader(test.stream))} {
			r := Reader{From: from, Limit: 4096, Gzip: test.gzip}
			for _, want := range test.want {
				if m, err := r.Next(); err != nil || string(m) != want {
					t.Errorf("%s: %q, %v, want %q", name, m, err, want)
				}
			}
			_, err := r.Next()
			if large, ok := test.err.(*TooLargeError); ok {
				if have, ok := errors.AsType[*TooLargeError](err); !ok || *have != *large {
					t.Errorf("%s: %v, want %v", name, err, test.err)
				}
			} else if err != test.err {
				t.Errorf("%s: %v, want %v", name, err, test.err)
			}
		}
	}
}

func TestOnly(t *testing.T) {
	for stream, want := range map[string]error{
		frame(0, "abc"): nil, "": io.EOF, frame(0, "a") + frame(0, "b"): ErrManyFrames, frame(0, "a") + "\x00": ErrManyFrames,
	} {
		r := Reader{From: strings.NewReader(stream)}
		if _, err := r.Only(); err != want {
			t.Errorf("%q: %v, want %v", stream, err, want)
		}
	}
}

// A length is a claim. Memory follows what arrives.
func TestClaimsCostNothing(t *testing.T) {
	r := Reader{From: strings.NewReader("\x00\x7f\xff\xff\xffabc")}
	if _, err := r.Next(); err != ErrHalfFrame || cap(r.buf) > 2*step {
		t.Errorf("%v, %d bytes held", err, cap(r.buf))
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(frame(0, "abc")+frame(1, zipped(f, "abc"))), true)
	f.Fuzz(func(t *testing.T, stream []byte, gzip bool) {
		r := Reader{From: bytes.NewReader(stream), Limit: 1000, Gzip: gzip}
		for {
			m, err := r.Next()
			if err != nil {
				return
			}
			if len(m) > 1000 {
				t.Fatalf("%d bytes", len(m))
			}
		}
	})
}

func TestIs(t *testing.T) {
	for media, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc;x=y": true,
		"application/grpc-web": false, "application/grpcx": false, "": false, "application/json": false,
	} {
		if Is(http.Header{"Content-Type": {media}}) != want {
			t.Error(media)
		}
	}
	if Is(http.Header{}) {
		t.Error("no type at all")
	}
}

func TestStatusThereAndBack(t *testing.T) {
	for _, s := range []Status{
		{}, {Code: NotFound, Message: "no such thing"}, {Code: Internal, Message: "100 % of\nÄpfel"}, {Code: Aborted, Details: []byte{8, 10}}, {Code: 77},
	} {
		h := http.Header{}
		s.Set(h)
		back, found := StatusOf(h)
		if !found || back.Code != s.Code || back.Message != s.Message || !bytes.Equal(back.Details, s.Details) {
			t.Errorf("%+v came back as %+v", s, back)
		}
		for name := range h {
			if !IsStatusField(name) {
				t.Errorf("%s is no field of a status", name)
			}
		}
	}
	if _, found := StatusOf(http.Header{}); found || IsStatusField("X-Grpc-Status") {
		t.Error("found where there is none")
	}
}

func TestStatusThatIsNone(t *testing.T) {
	for _, values := range [][]string{{""}, {"x"}, {"-1"}, {"0", "0"}, {"99999999999"}} {
		if s, found := StatusOf(http.Header{"Grpc-Status": values}); !found || s.Code != Unknown {
			t.Errorf("%q is %v", values, s.Code)
		}
	}
	for sent, want := range map[string]string{"%": "%", "%4": "%4", "%zz": "%zz", "a%20b": "a b", "%ff": "\uFFFD", "%E2%82%AC": "€"} {
		if got := DecodeMessage(sent); got != want {
			t.Errorf("%q is %q, want %q", sent, got, want)
		}
	}
}

func TestCodes(t *testing.T) {
	if NotFound.String() != "NOT_FOUND" || Canceled.String() != "CANCELLED" || Code(99).String() != "UNKNOWN" {
		t.Error("names")
	}
	for code, want := range map[Code]int{OK: 200, Canceled: 499, InvalidArgument: 400, Unauthenticated: 401, Unimplemented: 501, 99: 500} {
		if code.HTTP() != want {
			t.Errorf("%v is %d, want %d", code, code.HTTP(), want)
		}
	}
	for status, want := range map[int]Code{200: OK, 204: OK, 302: Unknown, 400: InvalidArgument, 404: NotFound, 418: FailedPrecondition, 429: ResourceExhausted, 500: Internal, 503: Unavailable, 599: Unknown} {
		if got := CodeOf(status); got != want {
			t.Errorf("%d is %v, want %v", status, got, want)
		}
	}
}

func TestTimeouts(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1n", -1: "1n", 1: "1n", time.Second: "1000000u", 99999999: "99999999n", 100000001: "100001u", 30 * time.Second: "30000000u",
		time.Hour: "3600000m", 48 * time.Hour: "172800S", math.MaxInt64: "2562048H",
	} {
		if got := FormatTimeout(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
		if back, ok := ParseTimeout(want); !ok || back < d {
			t.Errorf("%q is %v, shorter than %v", want, back, d)
		}
	}
	for _, s := range []string{"", "1", "S", "-1S", "1.5S", "123456789S", "1x", " 1S"} {
		if d, ok := ParseTimeout(s); ok {
			t.Errorf("%q is %v", s, d)
		}
	}
}
