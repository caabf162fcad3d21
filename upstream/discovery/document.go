package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// MaxDocument is how many bytes a document of endpoints may have.
const MaxDocument = 4 << 20

// Parse reads the document that a file holds and an HTTP endpoint answers, YAML or JSON: a list of endpoints, or a
// mapping with the one key `endpoints`. An endpoint is `host:port`, to which scheme is put, or a URL, or a mapping of
// url, weight (1 if absent) and zone. Anything else is refused: a registry that speaks another language is to be noticed
// before its answers are in force.
func Parse(data []byte, scheme string) ([]Endpoint, error) {
	if len(data) > MaxDocument {
		return nil, fmt.Errorf("the document has more than %d MiB", MaxDocument>>20)
	}
	doc, err := decode(data)
	if err != nil {
		return nil, err
	}
	list, err := listOf(doc)
	if err != nil {
		return nil, err
	}
	if len(list) > MaxEndpoints {
		return nil, fmt.Errorf("the document has %d endpoints; at most %d are taken", len(list), MaxEndpoints)
	}
	endpoints := make([]Endpoint, len(list))
	for i, item := range list {
		if endpoints[i], err = endpointOf(item, scheme); err != nil {
			return nil, fmt.Errorf("endpoint %d of %d: %w", i+1, len(list), err)
		}
	}
	return endpoints, nil
}

// decode tries JSON first, of which YAML takes most but not all: tabs, for one.
func decode(data []byte) (any, error) {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var doc any
		if err := d.Decode(&doc); err == nil && !d.More() {
			return doc, nil
		}
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("this is neither YAML nor JSON: %s", clip(err.Error()))
	}
	if hasAlias(&root) {
		return nil, errors.New("anchors and aliases are not taken") // a few lines of them can grow without bound
	}
	var doc any
	if err := root.Decode(&doc); err != nil {
		return nil, fmt.Errorf("the document cannot be read: %s", clip(err.Error()))
	}
	return doc, nil
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

func listOf(doc any) ([]any, error) {
	switch doc := doc.(type) {
	case []any:
		return doc, nil
	case map[string]any:
		for key := range doc {
			if key != "endpoints" {
				return nil, fmt.Errorf("unknown key `%s`; the document has one, `endpoints`", clip(key))
			}
		}
		list, ok := doc["endpoints"].([]any)
		if !ok {
			return nil, errors.New("`endpoints` is not a list")
		}
		return list, nil
	case nil:
		return nil, errors.New("the document is empty; without endpoints it is written `endpoints: []`")
	}
	return nil, errors.New("this is no list of endpoints")
}

func endpointOf(item any, scheme string) (Endpoint, error) {
	e := Endpoint{Weight: 1}
	switch item := item.(type) {
	case string:
		e.URL = withScheme(item, scheme)
		return e, nil
	case map[string]any:
		for key, value := range item {
			if err := e.set(key, value, scheme); err != nil {
				return e, err
			}
		}
		if e.URL == "" {
			return e, errors.New("it has no `url`")
		}
		return e, nil
	}
	return e, errors.New("it is neither `host:port` nor a mapping with `url`")
}

func (e *Endpoint) set(key string, value any, scheme string) error {
	text, isText := value.(string)
	switch key {
	case "url":
		if !isText {
			return errors.New("`url` is text")
		}
		e.URL = withScheme(text, scheme)
	case "zone":
		if !isText {
			return errors.New("`zone` is text")
		}
		e.Zone = text
	case "weight":
		n, ok := whole(value)
		if !ok || n < 0 || n > MaxWeight {
			return fmt.Errorf("`weight` is a whole number from 0 to %d", MaxWeight)
		}
		e.Weight = n
	default:
		return fmt.Errorf("unknown key `%s`; an endpoint has url, weight and zone", clip(key))
	}
	return nil
}

func withScheme(s, scheme string) string {
	if strings.Contains(s, "://") {
		return s
	}
	return scheme + "://" + s
}

// whole is a number without a fraction, as either decoder gives it.
func whole(v any) (n int, ok bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case json.Number:
		i, err := v.Int64()
		return int(i), err == nil && int64(int(i)) == i
	case float64:
		return int(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}
