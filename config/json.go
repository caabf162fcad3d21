package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// jsonReader turns a JSON text (RFC 8259) into a tree, token by token, because only tokens have offsets.
type jsonReader struct {
	doc   *document
	file  int32
	data  []byte
	dec   *json.Decoder
	found []finding

	// The position of an offset is found by counting on from the last one.
	offset       int
	line, column int32
}

func parseJSON(d *document, file int32) (*node, []finding) {
	data := d.files[file].Data
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	r := &jsonReader{doc: d, file: file, data: data, dec: json.NewDecoder(bytes.NewReader(data)),
		line: 1, column: 1}
	r.dec.UseNumber()
	root, err := r.value(0)
	if err == nil {
		if _, more := r.dec.Token(); more != io.EOF {
			err = errors.New("more text follows the value")
		}
	}
	if err != nil {
		r.found = append(r.found, r.mistake(err))
		return nil, r.found
	}
	if root.isNull() {
		root = nil
	}
	return root, r.found
}

func (r *jsonReader) mistake(err error) finding {
	offset := int(r.dec.InputOffset())
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = int(syntax.Offset) - 1
	}
	message := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		message, offset = "the text ends in the middle", len(r.data)
	}
	return finding{r.doc.at(r.file, offset), Diagnostic{
		Message: "malformed JSON: " + strings.TrimPrefix(message, "json: "), guess: true}}
}

// next is the position of the token that the decoder reads next.
func (r *jsonReader) next() position {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	for ; r.offset < at; r.offset++ {
		if r.data[r.offset] == '\n' {
			r.line, r.column = r.line+1, 1
		} else if utf8.RuneStart(r.data[r.offset]) {
			r.column++
		}
	}
	return position{r.file, r.line, r.column}
}

func (r *jsonReader) value(depth int) (*node, error) {
	at := r.next()
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{pos: at, plain: true}
	switch t := token.(type) {
	case json.Delim:
		return r.container(n, t, depth)
	case string:
		n.tag, n.text = stringTag, t
	case json.Number:
		n.tag, n.text = intTag, t.String()
		if strings.ContainsAny(n.text, ".eE") {
			n.tag = floatTag
		}
	case bool:
		n.tag, n.text = boolTag, fmt.Sprint(t)
	case nil:
		n.tag = nullTag
	}
	return n, nil
}

func (r *jsonReader) container(n *node, open json.Delim, depth int) (*node, error) {
	n.kind = listNode
	if open == '{' {
		n.kind = mappingNode
	}
	seen := make(map[string]int32)
	for r.dec.More() {
		keyPos := r.next()
		var key string
		if n.kind == mappingNode {
			token, err := r.dec.Token()
			if err != nil {
				return nil, err
			}
			key, _ = token.(string)
		}
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if line, twice := seen[key]; twice && n.kind == mappingNode {
			if len(r.found) < maxDiagnostics {
				r.found = append(r.found, finding{keyPos, Diagnostic{Hint: "keep one of the two",
					Message: fmt.Sprintf("key `%s` is given twice, first at line %d", clip(key), line)}})
			}
			continue
		}
		seen[key] = keyPos.line
		item.key, item.keyPos = key, keyPos
		n.items = append(n.items, item)
	}
	_, err := r.dec.Token() // the closing delimiter
	return n.adopt(), err
}
