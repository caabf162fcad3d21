package transcode

import (
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/backend/translate/httprule"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
	"github.com/sluice-gateway/sluice/backend/translate/schema"
)

// operation is one way to call a method over HTTP.
type operation struct {
	method     *schema.Method
	httpMethod string
	template   *httprule.Template
	variables  []jsonwire.Param // in the order of the template's
	input      *jsonwire.Codec
	output     *jsonwire.Codec

	body      bodyOf
	bodyField *jsonwire.Field // body: "field"
	answer    *jsonwire.Field // response_body; nil: the whole message
	rawIn     bool            // the body is google.api.HttpBody
	rawOut    bool            // the answer is
}

// bodyOf is what the request's body holds.
type bodyOf uint8

const (
	noBody    bodyOf = iota // nothing: all fields that the path does not set come from the query
	wholeBody               // "*": all of them, and nothing comes from the query
	fieldBody               // one of them
)

const httpBody protoreflect.FullName = "google.api.HttpBody"

func mistake(m *schema.Method, format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{m.Name}, args...)...)
}

// operationsOf are those of a method. One that is wrong is left out.
func operationsOf(codecs *jsonwire.Codecs, m *schema.Method) ([]*operation, error) {
	rules := m.Rules
	if len(rules) == 0 {
		rules = []*annotations.HttpRule{{Pattern: &annotations.HttpRule_Post{Post: m.Path}, Body: "*"}}
	}
	var all []*operation
	var mistakes []error
	for _, rule := range rules {
		op := &operation{method: m, input: codecs.For(m.Input), output: codecs.For(m.Output)}
		if err := op.compile(rule); err != nil {
			mistakes = append(mistakes, mistake(m, "%w", err))
			continue
		}
		all = append(all, op)
	}
	return all, errors.Join(mistakes...)
}

func (op *operation) compile(rule *annotations.HttpRule) (err error) {
	var path string
	op.httpMethod, path = schema.PatternOf(rule)
	if path == "" {
		return errors.New("a google.api.http rule has no path")
	}
	if op.template, err = httprule.Parse(path); err != nil {
		return fmt.Errorf("path %s: %w", path, err)
	}
	for i := range op.template.Variables {
		p, err := op.input.Param(op.template.Variables[i].Field)
		switch {
		case err != nil:
			return fmt.Errorf("path %s: %w", path, err)
		case p.IsMap():
			return fmt.Errorf("path %s: a map cannot be part of a path", path)
		}
		op.variables = append(op.variables, p)
	}
	if err := op.compileBody(rule.GetBody()); err != nil {
		return err
	}
	return op.compileAnswer(rule.GetResponseBody())
}

func (op *operation) compileBody(name string) (err error) {
	switch name {
	case "":
		return nil
	case "*":
		op.body = wholeBody
		op.rawIn = op.method.Input.FullName() == httpBody
		return nil
	}
	op.body = fieldBody
	if op.bodyField, err = op.input.Field(name); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if m := op.bodyField.Message(); m != nil {
		op.rawIn = m.Descriptor().FullName() == httpBody
	}
	return nil
}

func (op *operation) compileAnswer(name string) (err error) {
	op.rawOut = op.method.Output.FullName() == httpBody
	if name == "" {
		return nil
	}
	if op.answer, err = op.output.Field(name); err != nil {
		return fmt.Errorf("response_body: %w", err)
	}
	if m := op.answer.Message(); m != nil {
		op.rawOut = m.Descriptor().FullName() == httpBody
	}
	return nil
}

// bound reports whether the path or the body sets what a parameter of the query would.
func (op *operation) bound(p jsonwire.Param) bool {
	if op.body == fieldBody && op.bodyField.Covers(p) {
		return true
	}
	for i := range op.variables {
		if op.variables[i].Same(p) {
			return true
		}
	}
	return false
}
