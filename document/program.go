package document

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/itchyny/gojq"
)

// A Program is a jq program, compiled once and run for many documents at once. It sees the document and nothing else: no
// environment, no files, no modules, no other input.
//
// A number that a program only moves keeps its digits; arithmetic is exact on integers of any size and double precision on
// others. Objects a program has passed on have their members sorted by name.
type Program struct {
	code *gojq.Code
}

const (
	maxProgram  = 64 << 10    // characters of a program
	programTime = time.Second // one run may take
)

// NewProgram compiles a program.
func NewProgram(text string) (*Program, error) {
	if len(text) > maxProgram {
		return nil, fmt.Errorf("the program is longer than %d characters", maxProgram)
	}
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the jq program cannot be read: %w", err)
	}
	code, err := gojq.Compile(query)
	if err != nil {
		return nil, fmt.Errorf("the jq program cannot be compiled: %w", err)
	}
	return &Program{code}, nil
}

// ErrResultTooLarge is a program's result over the limit.
var ErrResultTooLarge = errors.New("the result of the program is over the limit")

// Run gives v to the program, which must make exactly one value of it, no longer than limit. It takes at most a second.
func (p *Program) Run(ctx context.Context, v Value, limit int) (Value, error) {
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	results := p.code.RunWithContext(ctx, v.any())
	result, err := one(results)
	if err != nil {
		return nil, err
	}
	text, err := gojq.Marshal(result)
	if err != nil {
		return nil, err
	}
	if len(text) > limit {
		return nil, ErrResultTooLarge
	}
	return text, nil
}

func one(results gojq.Iter) (any, error) {
	result, ok := results.Next()
	if !ok {
		return nil, errors.New("the program made no value")
	}
	if err, failed := result.(error); failed {
		return nil, programError(err)
	}
	if more, ok := results.Next(); ok {
		if err, failed := more.(error); failed {
			return nil, programError(err)
		}
		return nil, errors.New("the program made several values: collect them, as in [ … ]")
	}
	return result, nil
}

// programError is never nil: a program that halts, even with nothing, has made no value.
func programError(err error) error {
	if _, halted := errors.AsType[*gojq.HaltError](err); halted {
		return errors.New("the program halted")
	}
	return err
}

// any is the value as programs take it.
func (v Value) any() any {
	switch v.Kind() {
	case Object:
		object := make(map[string]any)
		for m := v.Members(); m.Next(); {
			object[m.Name.Text()] = m.Value.any()
		}
		return object
	case Array:
		array := []any{}
		for e := v.Elements(); e.Next(); {
			array = append(array, e.Value.any())
		}
		return array
	case String:
		return v.Text()
	case Number:
		return json.Number(bytes.Clone(v))
	case Bool:
		return v[0] == 't'
	}
	return nil
}
