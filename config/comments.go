package config

import (
	_ "embed"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// commentsFile is written by internal/gendoc: the doc comments of this package's and the filters' structs, because a
// program cannot read its own source. "config.Listener" is a type, "config.Listener.Address" a field.
//
//go:embed comments.json
var commentsFile []byte

var comments = sync.OnceValue(func() map[string]string {
	all := make(map[string]string)
	if err := json.Unmarshal(commentsFile, &all); err != nil {
		return nil // a test says so before anybody else can
	}
	return all
})

// module is the path of the module, from that of this package.
var module = strings.TrimSuffix(reflect.TypeFor[Config]().PkgPath(), "config")

// typeKey is a type's name in comments.json: config.Listener, filter/cors.Config.
func typeKey(t reflect.Type) string { return strings.TrimPrefix(t.PkgPath(), module) + "." + t.Name() }

func typeComment(t reflect.Type) string { return comments()[typeKey(t)] }

func fieldComment(t reflect.Type, f *field) string { return comments()[typeKey(t)+"."+f.goName] }
