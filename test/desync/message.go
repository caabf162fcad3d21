package desync

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// Message is a hostile one, and what is to come of it. In the files it is a section of a txtar archive:
//
//	-- NAME = STATUS... END --
//
// The statuses are those the client sees, in order. END is "keep", the connection goes on; "close", the gateway closes
// it; "either", it may do one or the other; or "cut", it waits for more, and closes when the client sends no more. Interim answers do not count. The text below is what is sent. A line ends in CR LF
// unless a \ is its last character. \r \n \t \0 \\ \xHH stand for bytes and {c*N} for N times c; {1}, {2} … are the ids of
// the requests that are meant.
type Message struct {
	Name     string
	Statuses []int
	End      string
	text     string
	methods  map[string]string
}

// ReadMessages reads the archives of a folder.
func ReadMessages(folder fs.FS) ([]Message, error) {
	names, err := fs.Glob(folder, "*.txtar")
	if err != nil {
		return nil, err
	}
	var all []Message
	for _, name := range names {
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		for _, f := range txtar.Parse(data).Files {
			m, err := parseMessage(strings.TrimSuffix(path.Base(name), ".txtar"), f)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, f.Name, err)
			}
			all = append(all, m)
		}
	}
	return all, nil
}

var meant = regexp.MustCompile(`(?m)^\s*(\S+) \S*\{(\d)\}`)

func parseMessage(file string, f txtar.File) (Message, error) {
	name, outcome, ok := strings.Cut(f.Name, " = ")
	words := strings.Fields(outcome)
	if !ok || len(words) == 0 {
		return Message{}, fmt.Errorf("no outcome")
	}
	m := Message{Name: file + "/" + name, End: words[len(words)-1], methods: make(map[string]string)}
	for _, w := range words[:len(words)-1] {
		status, err := strconv.Atoi(w)
		if err != nil {
			return Message{}, err
		}
		m.Statuses = append(m.Statuses, status)
	}
	if !slices.Contains([]string{"keep", "close", "either", "cut"}, m.End) {
		return Message{}, fmt.Errorf("%q is no end", m.End)
	}
	var err error
	if m.text, err = unescape(string(f.Data)); err != nil {
		return Message{}, err
	}
	for _, found := range meant.FindAllStringSubmatch(m.text, -1) {
		m.methods[found[2]] = found[1]
	}
	return m, nil
}

// Bytes is what is sent, with ids that begin with prefix.
func (m *Message) Bytes(prefix string) []byte {
	return []byte(idMark.ReplaceAllString(m.text, prefix+"-$1"))
}

// Method is the method of the nth request that is meant, from 1.
func (m *Message) Method(n int) string { return m.methods[strconv.Itoa(n)] }

var (
	idMark = regexp.MustCompile(`\{(\d)\}`)
	escape = regexp.MustCompile(`\\(x[0-9a-fA-F]{2}|.)|\{(.)\*(\d+)\}`)
)

// unescape turns the text of a section into bytes.
func unescape(text string) (string, error) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		end := "\r\n"
		if before, open := strings.CutSuffix(line, `\`); open && !strings.HasSuffix(before, `\`) {
			line, end = before, ""
		}
		b.WriteString(line + end)
	}
	var bad error
	out := escape.ReplaceAllStringFunc(b.String(), func(s string) string {
		m := escape.FindStringSubmatch(s)
		if m[3] != "" {
			n, _ := strconv.Atoi(m[3])
			return strings.Repeat(m[2], n)
		}
		if m[1][0] == 'x' {
			n, _ := strconv.ParseUint(m[1][1:], 16, 8)
			return string([]byte{byte(n)})
		}
		c, ok := plainEscapes[m[1]]
		if !ok {
			bad = fmt.Errorf("escape %q", s)
		}
		return c
	})
	return out, bad
}

var plainEscapes = map[string]string{"r": "\r", "n": "\n", "t": "\t", "0": "\x00", `\`: `\`}
