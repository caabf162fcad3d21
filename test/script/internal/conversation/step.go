package conversation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// verbs are the steps. What follows the word on its line is rest.
var verbs = map[string]func(p *player, rest string) error{
	// bytes
	">": say, "fill": fill, "<": hear,
	// messages
	"head": head, "has": has, "like": like, "lacks": lacks,
	"body": body, "size": size, "holds": holds, "trailer": trailer, "bare": bare,
	// ends
	"eof": eof, "broken": broken, "closed": closed, "gone": gone, "close": hangUp, "abort": abort, "end": end, "again": again,
	// order and values
	"signal": signal, "await": await, "let": let,
	// what is asked often
	"echo": echo, "path": path, "problem": problem,
}

// say writes bytes.
func say(p *player, rest string) error {
	raw, err := unescape(rest)
	if err != nil {
		return err
	}
	w, err := p.line()
	if err != nil {
		return err
	}
	return w.say(raw)
}

// fill writes a text many times.
func fill(p *player, rest string) error {
	times, text, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(times)
	if err != nil || n < 1 || n > 1<<22 {
		return errors.New("write: fill TIMES TEXT")
	}
	raw, err := unescape(text)
	if err != nil {
		return err
	}
	w, err := p.line()
	if err != nil {
		return err
	}
	return w.say(bytes.Repeat(raw, n))
}

// hear reads precisely these bytes.
func hear(p *player, rest string) error {
	want, err := unescape(rest)
	if err != nil {
		return err
	}
	w, err := p.line()
	if err != nil {
		return err
	}
	return w.exactly(want)
}

// head reads a message up to its empty line. If a first line is given, it must be that one; a * at its end stands for
// anything.
func head(p *player, rest string) error {
	w, err := p.line()
	if err != nil {
		return err
	}
	if p.got, err = readMessage(w); err != nil {
		return err
	}
	prefix, open := strings.CutSuffix(rest, "*")
	if rest != "" && p.got.start != rest && !(open && strings.HasPrefix(p.got.start, prefix)) {
		return fmt.Errorf("the first line is %q", p.got.start)
	}
	return nil
}

var errNoHead = errors.New("no head was read")

// cutField reads "Name: value".
func (p *player) cutField(rest string) (name, value string, err error) {
	if p.got == nil {
		return "", "", errNoHead
	}
	name, value, ok := strings.Cut(rest, ":")
	if !ok {
		return "", "", errors.New("write: Name: value")
	}
	return name, strings.TrimSpace(value), nil
}

// has demands the field lines of a name: just these values, separated by " | ", in this order.
func has(p *player, rest string) error {
	name, value, err := p.cutField(rest)
	if err != nil {
		return err
	}
	if got := values(p.got.fields, name); !slices.Equal(got, strings.Split(value, " | ")) {
		return fmt.Errorf("%s is %q", name, got)
	}
	return nil
}

// like demands one field line of a name, whose value is matched as a whole.
func like(p *player, rest string) error {
	name, pattern, err := p.cutField(rest)
	if err != nil {
		return err
	}
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return err
	}
	got := values(p.got.fields, name)
	if len(got) != 1 || !re.MatchString(got[0]) {
		return fmt.Errorf("%s is %q", name, got)
	}
	return nil
}

// lacks demands that no line is of these names.
func lacks(p *player, rest string) error {
	if p.got == nil {
		return errNoHead
	}
	for name := range strings.FieldsSeq(rest) {
		if got := values(p.got.fields, name); len(got) > 0 {
			return fmt.Errorf("%s is %q", name, got)
		}
	}
	return nil
}

// body reads the body as the head frames it. If a text is given, it must be that one.
func body(p *player, rest string) error {
	if p.got == nil {
		return errNoHead
	}
	want, err := unescape(rest)
	if err != nil {
		return err
	}
	if err := p.got.readBody(p.wire); err != nil {
		return fmt.Errorf("the body ends after %q: %w", shortened(p.got.body), err)
	}
	if rest != "" && !bytes.Equal(p.got.body, want) {
		return fmt.Errorf("the body is %q", shortened(p.got.body))
	}
	return nil
}

func shortened(b []byte) []byte { return b[:min(len(b), 512)] }

// size is how many bytes the body had.
func size(p *player, rest string) error {
	n, err := strconv.Atoi(rest)
	if err != nil || p.got == nil || !p.got.ended {
		return errors.New("write size BYTES after body")
	}
	if len(p.got.body) != n {
		return fmt.Errorf("the body has %d bytes", len(p.got.body))
	}
	return nil
}

// holds looks for a text in the body that was read.
func holds(p *player, rest string) error {
	want, err := unescape(rest)
	if err != nil || p.got == nil || !p.got.ended {
		return errors.Join(err, errors.New("holds stands after body"))
	}
	if !bytes.Contains(p.got.body, want) {
		return fmt.Errorf("the body is %q", shortened(p.got.body))
	}
	return nil
}

// trailer is has for the fields behind a chunked body.
func trailer(p *player, rest string) error {
	name, value, err := p.cutField(rest)
	if err != nil {
		return err
	}
	if got := values(p.got.trailers, name); !slices.Equal(got, strings.Split(value, " | ")) {
		return fmt.Errorf("the trailer %s is %q", name, got)
	}
	return nil
}

// bare is lacks for trailers; without names there must be none at all.
func bare(p *player, rest string) error {
	if p.got == nil || !p.got.ended {
		return errors.New("bare stands after body")
	}
	if rest == "" && len(p.got.trailers) > 0 {
		return fmt.Errorf("the trailers are %q", p.got.trailers)
	}
	for name := range strings.FieldsSeq(rest) {
		if got := values(p.got.trailers, name); len(got) > 0 {
			return fmt.Errorf("the trailer %s is %q", name, got)
		}
	}
	return nil
}

// eof: the peer has closed its side cleanly, with nothing more before.
func eof(p *player, _ string) error {
	w, err := p.line()
	if err != nil {
		return err
	}
	if more, err := w.rest(); err != nil || len(more) > 0 {
		return fmt.Errorf("came %q (%v)", shortened(more), err)
	}
	return nil
}

// broken: the peer has broken the connection off, in a way that is no clean end.
func broken(p *player, _ string) error {
	w, err := p.line()
	if err != nil {
		return err
	}
	if more, err := w.rest(); !vanished(err) || len(more) > 0 {
		return fmt.Errorf("came %q (%v)", shortened(more), err)
	}
	return nil
}

// closed: the peer has closed the connection somehow, with nothing more before.
func closed(p *player, _ string) error {
	w, err := p.line()
	if err != nil {
		return err
	}
	if more, err := w.rest(); err != nil && !vanished(err) || len(more) > 0 {
		return fmt.Errorf("came %q (%v)", shortened(more), err)
	}
	return nil
}

// gone: the peer closes the connection somehow, after whatever comes before.
func gone(p *player, _ string) error {
	w, err := p.line()
	if err != nil {
		return err
	}
	if _, err := w.rest(); err != nil && !vanished(err) {
		return err
	}
	return nil
}

// hangUp closes the connection.
func hangUp(p *player, _ string) error { return p.leave((*wire).Close) }

// abort breaks it off with RST.
func abort(p *player, _ string) error { return p.leave((*wire).reset) }

// end closes our direction only.
func end(p *player, _ string) error {
	w, err := p.line()
	if err != nil {
		return err
	}
	return w.end()
}

// again opens another connection; the one before stays open behind it.
func again(p *player, _ string) error {
	p.wire = nil
	_, err := p.line()
	return err
}

func signal(p *player, rest string) error { return p.stage.give(rest) }
func await(p *player, rest string) error  { return p.stage.await(rest) }

// let gives the value of a field a name, under which all steps find it.
func let(p *player, rest string) error {
	name, of, _ := strings.Cut(rest, " ")
	if p.got == nil {
		return errNoHead
	}
	got := values(p.got.fields, of)
	if len(got) != 1 {
		return fmt.Errorf("%s is %q", of, got)
	}
	p.stage.Set(name, got[0])
	return nil
}

// echo reads a request without a body and answers with the target that came.
func echo(p *player, _ string) error {
	if err := head(p, ""); err != nil {
		return err
	}
	parts := strings.Split(p.got.start, " ")
	if len(parts) != 3 {
		return fmt.Errorf("the first line is %q", p.got.start)
	}
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(parts[1]), parts[1])
	return p.wire.say([]byte(answer))
}

// path is "ASKED => SEEN": the target that goes out, and what an echoing origin sees of it, or the status of a refusal.
func path(p *player, rest string) error {
	asked, want, ok := strings.Cut(rest, " => ")
	if !ok {
		return errors.New("write: path ASKED => SEEN, or => STATUS")
	}
	if err := say(p, "GET "+asked+` HTTP/1.1\r\nHost: api.test\r\n\r\n`); err != nil {
		return err
	}
	if err := errors.Join(head(p, ""), body(p, "")); err != nil {
		return err
	}
	status, got := p.got.status(), string(p.got.body)
	if p.got.value("Connection") == "close" {
		p.wire.Close()
		p.wire = nil
	}
	if refusal, err := strconv.Atoi(want); err == nil {
		if status != refusal {
			return fmt.Errorf("the status is %d, the origin saw %q", status, got)
		}
		return nil
	}
	if status != 200 || got != want {
		return fmt.Errorf("the status is %d, the origin saw %q", status, got)
	}
	return nil
}

// problem is "STATUS KIND": an answer of the gateway's own, told as it always tells them.
func problem(p *player, rest string) error {
	status, kind, _ := strings.Cut(rest, " ")
	if err := errors.Join(head(p, ""), body(p, "")); err != nil {
		return err
	}
	var said struct {
		Type, Title, Error, RequestID string
		Status                        int
	}
	if err := json.Unmarshal(p.got.body, &said); err != nil {
		return fmt.Errorf("%w in %q after %q", err, p.got.body, p.got.start)
	}
	if strconv.Itoa(p.got.status()) != status || strconv.Itoa(said.Status) != status || said.Error != kind {
		return fmt.Errorf("it is %q with %s", p.got.start, p.got.body)
	}
	if said.Type == "" || said.Title == "" || said.RequestID == "" || said.RequestID != p.got.value("X-Request-Id") {
		return fmt.Errorf("something is missing in %s", p.got.body)
	}
	return errors.Join(
		like(p, "Proxy-Status: sluice; error="+kind+"(;.*)?"), has(p, "Content-Type: application/problem+json"),
		like(p, "Date: .* GMT"), p.discreet())
}

// discreet: nothing in the answer tells where services are, or how we are made.
func (p *player) discreet() error {
	everything := fmt.Sprint(p.got.fields, string(p.got.body))
	for _, secret := range []string{"127.0.0.1", "goroutine", ".go:", "dial ", "connect:", "/tmp/"} {
		if strings.Contains(everything, secret) {
			return fmt.Errorf("the answer holds %q: %s", secret, everything)
		}
	}
	return nil
}
