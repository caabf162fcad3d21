package conversation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Text is a conversation as it is written.
type Text struct {
	file  string
	steps []step
}

// step is one line: a word and what follows it.
type step struct {
	line int
	verb string
	rest string
}

// Parse reads one step a line. Empty lines and those that begin with # are none.
func Parse(file, text string) (*Text, error) {
	t := &Text{file: file}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		if _, known := verbs[verb]; !known {
			return nil, fmt.Errorf("%s:%d: %q is no step", file, i+1, verb)
		}
		t.steps = append(t.steps, step{line: i + 1, verb: verb, rest: rest})
	}
	return t, nil
}

var errEscape = errors.New(`a backslash is followed by r, n, t, 0, \ or xHH`)

// unescape reads bytes as they are written in a step: \r \n \t \0 \\ \xHH, and everything else for itself.
func unescape(text string) ([]byte, error) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++
		if i == len(text) {
			return nil, errEscape
		}
		if text[i] == 'x' && i+2 < len(text) {
			n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			if err != nil {
				return nil, errEscape
			}
			out, i = append(out, byte(n)), i+2
			continue
		}
		at := strings.IndexByte(`rnt0\`, text[i])
		if at < 0 {
			return nil, errEscape
		}
		out = append(out, "\r\n\t\x00\\"[at])
	}
	return out, nil
}
