package desync

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"time"
)

// patience bounds every wait of the kit's; the gateway's own limits are far below or far above, as a test needs.
const patience = 10 * time.Second

// Client is a connection to the gateway on which any bytes may be sent.
type Client struct {
	net.Conn
	raw *net.TCPConn
	r   *bufio.Reader
}

// Dial connects; trusting is nil for plaintext.
func Dial(address string, trusting *tls.Config) (*Client, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	client := &Client{Conn: c, raw: c.(*net.TCPConn)}
	if trusting != nil {
		t := tls.Client(c, trusting)
		if err := t.Handshake(); err != nil {
			c.Close()
			return nil, err
		}
		client.Conn = t
	}
	client.r = bufio.NewReader(client.Conn)
	return client, nil
}

// Answer is a response as it came.
type Answer struct {
	Status int
	Head   *head
	Body   []byte
}

// ID is the id the answer carries, in its field and in its body; an error if the two disagree.
func (a *Answer) ID(headOnly bool) (string, error) {
	id := a.Head.one("X-Id")
	if !headOnly && string(a.Body) != id+"\n" {
		return "", fmt.Errorf("X-Id %q and body %.100q", id, a.Body)
	}
	return id, nil
}

var statusLine = regexp.MustCompile(`^HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*$`)

// Answer reads the next answer, an interim one included. It is io.EOF if the connection ended before one began.
func (c *Client) Answer(method string) (*Answer, error) {
	h, err := readHead(c.r)
	if err != nil {
		return nil, err
	}
	m := statusLine.FindStringSubmatch(h.first)
	if m == nil {
		return nil, malformed(fmt.Sprintf("status line %q", h.first))
	}
	a := &Answer{Head: h}
	a.Status, _ = strconv.Atoi(m[1])
	if method == "HEAD" || a.Status < 200 || a.Status == 204 || a.Status == 304 {
		return a, nil
	}
	a.Body, err = readBody(c.r, h, true)
	return a, err
}

// Final reads the next answer that is not an interim one.
func (c *Client) Final(method string) (*Answer, error) {
	for {
		a, err := c.Answer(method)
		if err != nil || a.Status >= 200 {
			return a, err
		}
	}
}

// Get sends a request of the kit's own and checks that it is answered with its id.
func (c *Client) Get(id string) error {
	if _, err := fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: h\r\nX-Id: %[1]s\r\n\r\n", id); err != nil {
		return err
	}
	a, err := c.Final("GET")
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	got, err := a.ID(false)
	if err == nil && (a.Status != 200 || got != id) {
		err = fmt.Errorf("answered %d %q %.200q", a.Status, got, a.Body)
	}
	return err
}

// Closed waits for the end of the connection; an error if there are bytes before it, or it does not come.
func (c *Client) Closed() error {
	b, err := io.ReadAll(io.LimitReader(c.r, 64<<10))
	if len(b) > 0 {
		return fmt.Errorf("%.300q instead of the end", b)
	}
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return err
	}
	return nil // a reset is an end too
}
