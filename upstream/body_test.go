package upstream

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// newRequestBody keeps up to limit bytes; 0 keeps nothing.
func newRequestBody(source io.Reader, limit int64) *requestBody {
	return &requestBody{source: source, limit: limit}
}

// reader begins an attempt.
func (b *requestBody) reader() *bodyReader { return &bodyReader{body: b} }

func TestABodyIsReadAgainFromItsStart(t *testing.T) {
	text := strings.Repeat("0123456789", 100)
	for _, source := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		b := newRequestBody(source, 1000)
		first := b.reader()
		io.CopyN(io.Discard, first, 700)
		first.finish()
		if !b.repeatable() {
			t.Fatal("a kept body is not repeatable")
		}
		for range 2 {
			if got, err := io.ReadAll(b.reader()); err != nil || string(got) != text {
				t.Fatalf("read %d bytes, %v", len(got), err)
			}
		}
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, errBodyOver) {
			t.Errorf("the first attempt read on: %v", err)
		}
	}
}

func TestABodyOverTheLimitIsReadOnce(t *testing.T) {
	b := newRequestBody(iotest.HalfReader(strings.NewReader(strings.Repeat("x", 100))), 99)
	first, late := b.reader(), b.reader()
	if got, err := io.ReadAll(first); err != nil || len(got) != 100 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if b.repeatable() || b.kept != nil {
		t.Errorf("repeatable: %v, kept %d bytes", b.repeatable(), len(b.kept))
	}
	if _, err := late.Read(make([]byte, 1)); !errors.Is(err, errBodyLost) {
		t.Errorf("a second attempt read %v", err)
	}
}

func TestABodyThatIsNotKept(t *testing.T) {
	b := newRequestBody(strings.NewReader("text"), 0)
	if !b.repeatable() {
		t.Error("nothing was read, and yet it is not repeatable")
	}
	r := b.reader()
	r.Read(make([]byte, 1))
	if b.repeatable() {
		t.Error("repeatable though a byte is lost")
	}
	if !(*requestBody)(nil).repeatable() {
		t.Error("no body is not repeatable")
	}
}

func TestForgetEndsTheKeeping(t *testing.T) {
	b := newRequestBody(strings.NewReader("0123456789"), 100)
	r := b.reader()
	r.Read(make([]byte, 3))
	b.forget()
	if got, err := io.ReadAll(r); err != nil || string(got) != "3456789" {
		t.Errorf("%q %v", got, err)
	}
	if len(b.kept) != 3 || b.repeatable() {
		t.Errorf("kept %q after forget", b.kept)
	}
}

func TestFinishEndsAllReading(t *testing.T) {
	b := newRequestBody(strings.NewReader("text"), 100)
	r := b.reader()
	b.finish()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, errBodyOver) {
		t.Errorf("%v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	(*requestBody)(nil).finish()
	(*requestBody)(nil).forget()
}

func TestABodyThatFailsFailsAgain(t *testing.T) {
	broken := errors.New("broken")
	b := newRequestBody(io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken)), 100)
	for range 2 {
		got, err := io.ReadAll(b.reader())
		if !bytes.Equal(got, []byte("ab")) || !errors.Is(err, broken) {
			t.Errorf("%q %v", got, err)
		}
	}
}

// An attempt that is over may still be inside a read. What it gets belongs to the one that follows.
func TestALateReadIsNotLost(t *testing.T) {
	source, client := io.Pipe()
	b := newRequestBody(source, 100)
	first := b.reader()
	late := make(chan struct{})
	go func() {
		defer close(late)
		first.Read(make([]byte, 10))
	}()
	eventually(t, "the first attempt reads", func() bool { return b.began.Load() })
	first.finish()
	second := b.reader()
	go func() { io.WriteString(client, "hello"); client.Close() }()
	if got, err := io.ReadAll(second); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
	<-late
}

// lent is a body that is in hand, as the engine's are.
type lent struct {
	strings.Reader
	text string
}

func newLent(text string) *lent { l := &lent{text: text}; l.Reset(text); return l }

func (l *lent) Peek() []byte  { return []byte(l.text[len(l.text)-l.Len():]) }
func (l *lent) Discard(n int) { l.Seek(int64(n), io.SeekCurrent) }

func TestABodyInHandIsLentUntilTheAnswerComes(t *testing.T) {
	source := newLent("0123456789")
	b := newRequestBody(source, 0)
	for range 2 {
		if r := b.reader(); string(r.Peek()) != "0123456789" {
			t.Errorf("lent %q", r.Peek())
		}
		if !b.repeatable() {
			t.Error("nothing was read, and yet it is not repeatable")
		}
	}
	r := b.reader()
	r.Discard(4)
	if b.repeatable() || string(r.Peek()) != "456789" || source.Len() != 6 {
		t.Errorf("repeatable: %v; lent %q; %d left", b.repeatable(), r.Peek(), source.Len())
	}
	if late := b.reader(); late.Peek() != nil {
		t.Errorf("lent %q to an attempt that has missed four bytes", late.Peek())
	}
	r.finish()
	if r.Peek() != nil {
		t.Error("lent to an attempt that is over")
	}
}

func TestWhatIsDiscardedIsKeptIfItMayBeNeeded(t *testing.T) {
	b := newRequestBody(newLent("0123456789"), 100)
	b.reader().Discard(4)
	r := b.reader()
	if string(r.Peek()) != "0123" {
		t.Errorf("lent %q of what is kept", r.Peek())
	}
	r.Discard(4)
	if got, err := io.ReadAll(r); err != nil || string(got) != "456789" || string(b.kept) != "0123456789" {
		t.Errorf("%q %v, kept %q", got, err, b.kept)
	}

	b = newRequestBody(newLent("0123456789"), 100)
	b.untilAnswer = true
	b.reader().Discard(10)
	if b.repeatable() || b.kept != nil {
		t.Errorf("repeatable: %v, kept %q after the only answer", b.repeatable(), b.kept)
	}
}

// Whoever waits for a read to return closes the reader first.
func TestCloseWakesAReadThatIsWaitedFor(t *testing.T) {
	source, client := io.Pipe()
	b := newRequestBody(source, 100)
	r := b.reader()
	read := make(chan error)
	go func() { _, err := r.Read(make([]byte, 1)); read <- err }()
	eventually(t, "it reads", func() bool { return b.reading.Load() != nil })
	r.Close()
	if err := <-read; err == nil {
		t.Error("a byte came from nowhere")
	}
	if b.repeatable() {
		t.Error("repeatable after the source was closed")
	}
	if _, err := client.Write([]byte("x")); err == nil {
		t.Error("the source is still open")
	}
}

func TestFinishWakesALateRead(t *testing.T) {
	source, _ := io.Pipe()
	b := newRequestBody(source, 100)
	late := make(chan error, 1)
	go func() { _, err := b.reader().Read(make([]byte, 1)); late <- err }()
	eventually(t, "it reads", func() bool { return b.reading.Load() != nil })
	b.finish()
	select {
	case err := <-late:
		if err == nil {
			t.Error("a byte came from nowhere")
		}
	case <-t.Context().Done():
	}
	if b.reading.Load() != nil {
		t.Error("finish did not wait for the late read")
	}
}
