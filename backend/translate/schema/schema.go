// Package schema knows the methods and messages of gRPC services: from a descriptor set, from .proto files, or from what
// the service says of itself by reflection. Translators read it and nothing else to learn what a service takes.
//
//	api.pb ─────────────┐
//	*.proto ─ compile ──┼─▶ FileDescriptorSet ─▶ Set: methods by name, google.api.http rules, types for Any
//	reflection ─ fetch ─┘
//
// A Set never changes. A Schema holds the Set in force: for files it is there from the start, by reflection it comes after
// the start and is asked for again now and then; the last good one is kept.
package schema

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/genproto/googleapis/api/annotations"
	_ "google.golang.org/genproto/googleapis/api/httpbody" // known to Set without being in a descriptor set
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	_ "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/anypb"
	_ "google.golang.org/protobuf/types/known/apipb"
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/emptypb"
	_ "google.golang.org/protobuf/types/known/fieldmaskpb"
	_ "google.golang.org/protobuf/types/known/sourcecontextpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	_ "google.golang.org/protobuf/types/known/typepb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"
)

// Bounds of what is read, whoever wrote it.
const (
	MaxBytes = 15 << 20 // of descriptors or sources, in all
	MaxFiles = 2000
	maxDepth = 64 // of messages inside messages, and of braces in a source
)

// Method is one method of a service.
type Method struct {
	Name            string // package.Service/Method
	Path            string // /package.Service/Method
	Descriptor      protoreflect.MethodDescriptor
	Input, Output   protoreflect.MessageDescriptor
	ClientStreaming bool
	ServerStreaming bool
	Idempotent      bool                    // declared NO_SIDE_EFFECTS or IDEMPOTENT
	NoSideEffects   bool                    // declared NO_SIDE_EFFECTS: Connect lets it be asked by GET
	Rules           []*annotations.HttpRule // google.api.http and its additional bindings, flat; empty: not annotated
}

// Set is what is known of services at one time. It never changes.
type Set struct {
	methods []*Method
	byName  map[string]*Method
	files   *protoregistry.Files
	types   *dynamicpb.Types
}

// Methods are all of them, in the order of their names.
func (s *Set) Methods() []*Method { return s.methods }

// Method finds one by package.Service/Method; a leading slash does not matter. It is nil if there is none.
func (s *Set) Method(name string) *Method { return s.byName[strings.TrimPrefix(name, "/")] }

// HasService reports whether a service of that full name has a method.
func (s *Set) HasService(name string) bool {
	return slices.ContainsFunc(s.methods, func(m *Method) bool { return string(m.Descriptor.Parent().FullName()) == name })
}

// FindMessageByName and its kin make a Set the resolver of protojson: they know the types of the descriptors, and
// Google's well-known ones.
func (s *Set) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if t, err := s.types.FindMessageByName(name); err == nil {
		return t, nil
	}
	if !strings.HasPrefix(string(name), "google.") {
		return nil, protoregistry.NotFound
	}
	return protoregistry.GlobalTypes.FindMessageByName(name)
}

// FindMessageByURL resolves what stands in an Any: the name is what follows the last slash.
func (s *Set) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return s.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}

// FindExtensionByName finds an extension that the descriptors declare.
func (s *Set) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return s.types.FindExtensionByName(name)
}

// FindExtensionByNumber finds an extension that the descriptors declare.
func (s *Set) FindExtensionByNumber(message protoreflect.FullName, n protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return s.types.FindExtensionByNumber(message, n)
}

// FromDescriptors reads a serialized FileDescriptorSet, as protoc and buf write it.
func FromDescriptors(data []byte) (*Set, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("it has %d bytes; at most %d are read", len(data), MaxBytes)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		return nil, errors.New("it is no descriptor set; write one with `protoc --include_imports --descriptor_set_out=FILE` or `buf build -o FILE`")
	}
	if len(set.File) == 0 {
		return nil, errors.New("the descriptor set is empty")
	}
	return New(&set)
}

// New makes a Set of descriptors. Google's own files may be missing; all else that is imported must be there.
func New(set *descriptorpb.FileDescriptorSet) (*Set, error) {
	if len(set.File) > MaxFiles {
		return nil, fmt.Errorf("there are %d files; at most %d are read", len(set.File), MaxFiles)
	}
	l := linker{
		files:   new(protoregistry.Files),
		sources: make(map[string]*descriptorpb.FileDescriptorProto, len(set.File)),
		state:   make(map[string]linkState, len(set.File)),
	}
	for _, f := range set.File {
		for _, m := range f.MessageType {
			if depthOf(m) > maxDepth {
				return nil, fmt.Errorf("%s: messages stand inside each other more than %d deep", f.GetName(), maxDepth)
			}
		}
		l.sources[f.GetName()] = f
	}
	s := &Set{files: l.files, byName: make(map[string]*Method)}
	for _, f := range set.File {
		if err := l.link(f.GetName(), ""); err != nil {
			return nil, err
		}
	}
	s.types = dynamicpb.NewTypes(l.files)
	l.files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		s.addServices(f)
		return true
	})
	slices.SortFunc(s.methods, func(a, b *Method) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

func (s *Set) addServices(f protoreflect.FileDescriptor) {
	for i := range f.Services().Len() {
		methods := f.Services().Get(i).Methods()
		for j := range methods.Len() {
			m := newMethod(methods.Get(j))
			s.methods = append(s.methods, m)
			s.byName[m.Name] = m
		}
	}
}

func newMethod(d protoreflect.MethodDescriptor) *Method {
	m := &Method{
		Name:       string(d.Parent().FullName()) + "/" + string(d.Name()),
		Descriptor: d, Input: d.Input(), Output: d.Output(),
		ClientStreaming: d.IsStreamingClient(), ServerStreaming: d.IsStreamingServer(),
	}
	m.Path = "/" + m.Name
	options, _ := d.Options().(*descriptorpb.MethodOptions)
	level := options.GetIdempotencyLevel()
	m.NoSideEffects = level == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
	m.Idempotent = m.NoSideEffects || level == descriptorpb.MethodOptions_IDEMPOTENT
	if options != nil && proto.HasExtension(options, annotations.E_Http) {
		rule, _ := proto.GetExtension(options, annotations.E_Http).(*annotations.HttpRule)
		m.Rules = append(m.Rules, rule)
		m.Rules = append(m.Rules, rule.GetAdditionalBindings()...)
	}
	return m
}

// depthOf counts no further than to one more than is allowed.
func depthOf(m *descriptorpb.DescriptorProto) int {
	var walk func(m *descriptorpb.DescriptorProto, left int) int
	walk = func(m *descriptorpb.DescriptorProto, left int) int {
		deepest := 0
		for _, nested := range m.NestedType {
			if left > 0 {
				deepest = max(deepest, walk(nested, left-1))
			}
		}
		return deepest + 1
	}
	return walk(m, maxDepth)
}

// linker links files after those that they import.
type linker struct {
	files   *protoregistry.Files
	sources map[string]*descriptorpb.FileDescriptorProto
	state   map[string]linkState
}

type linkState uint8

const (
	linking linkState = iota + 1
	linked
)

func (l *linker) link(name, importer string) error {
	switch l.state[name] {
	case linking:
		return fmt.Errorf("%s and %s import each other", importer, name)
	case linked:
		return nil
	}
	source := l.sources[name]
	if source == nil {
		if _, err := wellKnown(name); err == nil {
			return nil
		}
		return fmt.Errorf("%s imports %s, which is not there; write the descriptor set with --include_imports", importer, name)
	}
	l.state[name] = linking
	for _, dependency := range source.Dependency {
		if err := l.link(dependency, name); err != nil {
			return err
		}
	}
	file, err := protodesc.NewFile(source, l)
	if err == nil {
		err = l.files.RegisterFile(file)
	}
	if err != nil {
		return fmt.Errorf("%s: %s", name, plain(err))
	}
	l.state[name] = linked
	return nil
}

// plain takes the mark of the protobuf module off its errors.
func plain(err error) string {
	return strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
}

// FindFileByPath implements protodesc.Resolver.
func (l *linker) FindFileByPath(name string) (protoreflect.FileDescriptor, error) {
	if f, err := l.files.FindFileByPath(name); err == nil {
		return f, nil
	}
	return wellKnown(name)
}

// FindDescriptorByName implements protodesc.Resolver.
func (l *linker) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := l.files.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	if !strings.HasPrefix(string(name), "google.") {
		return nil, protoregistry.NotFound
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

// wellKnown are the files that everybody imports and nobody ships: google/protobuf, google/api, google/rpc.
func wellKnown(name string) (protoreflect.FileDescriptor, error) {
	if !strings.HasPrefix(name, "google/") || path.Clean(name) != name {
		return nil, protoregistry.NotFound
	}
	return protoregistry.GlobalFiles.FindFileByPath(name)
}

// Schema is where translators find the Set in force.
type Schema struct {
	set     atomic.Pointer[Set]
	fetcher *fetcher       // nil: the set is there, and stays
	part    *Derived[*Set] // not nil: this is a part of another schema, and nothing else is set
	failed  atomic.Pointer[error]
}

// Err is why the last fetch failed, nil if it did not.
func (s *Schema) Err() error {
	if s.part != nil {
		return s.part.From.Err()
	}
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Static is a schema whose set is known.
func Static(set *Set) *Schema {
	s := new(Schema)
	s.set.Store(set)
	return s
}

// Set is the one in force, nil while a service has not told of itself yet.
func (s *Schema) Set() *Set {
	if s.part != nil {
		set, _ := s.part.Get()
		return set
	}
	return s.set.Load()
}

// Only is the part of a schema that has no other services than those; all of it if none are named. The whole is what is
// started and stopped.
func (s *Schema) Only(services []string) *Schema {
	if len(services) == 0 {
		return s
	}
	return &Schema{part: &Derived[*Set]{From: s, Build: func(set *Set) *Set { return set.only(services) }}}
}

func (s *Set) only(services []string) *Set {
	part := &Set{byName: make(map[string]*Method), files: s.files, types: s.types}
	for _, m := range s.methods {
		if slices.Contains(services, string(m.Descriptor.Parent().FullName())) {
			part.methods = append(part.methods, m)
			part.byName[m.Name] = m
		}
	}
	return part
}

// Derived is what a translator works out of a Set, once for each.
type Derived[T any] struct {
	From  *Schema
	Build func(*Set) T

	mu    sync.Mutex
	built atomic.Pointer[derivation[T]]
}

type derivation[T any] struct {
	set   *Set
	value T
}

// Get returns what Build made of the set in force. It is the zero T and false while there is none.
func (d *Derived[T]) Get() (T, bool) {
	set := d.From.Set()
	if b := d.built.Load(); b != nil && b.set == set {
		return b.value, true
	}
	if set == nil {
		var none T
		return none, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.built.Load()
	if b == nil || b.set != set {
		b = &derivation[T]{set, d.Build(set)}
		d.built.Store(b)
	}
	return b.value, true
}
