package config

import "strings"

// Translate lets clients of one protocol call services of another. It stands beside `service` or `split`. A client that
// speaks the service's own protocol passes through untouched.
type Translate struct {
	// Between gRPC and HTTP with JSON, gRPC-Web and Connect.
	GRPC *TranslateGRPC `yaml:"grpc"`

	// Between SOAP and HTTP with JSON.
	SOAP *TranslateSOAP `yaml:"soap"`

	// The path at which an OpenAPI document of the translated API is served. The route must match it. Empty: nowhere.
	OpenAPI string `yaml:"openapi"`
}

// TranslateGRPC says which methods there are, and how their messages look in JSON. Exactly one of descriptors, protos and
// reflection is given. Before a service with `protocol: grpc`, clients may speak HTTP with JSON, gRPC-Web or Connect;
// before any other, gRPC clients call it by HTTP with JSON.
type TranslateGRPC struct {
	// A descriptor set, as `protoc --include_imports --descriptor_set_out` and `buf build -o` write it.
	Descriptors string `yaml:"descriptors"`

	// Sources to compile: files, or sources themselves, which have several lines. Google's own (`google/protobuf`, `google/api`, `google/rpc`) need not be there.
	Protos []string `yaml:"protos"`

	// With `protos`, the folders below which imports are looked for. None: the folder of each file.
	ImportPaths []string `yaml:"importPaths"`

	// True: the service is asked by gRPC server reflection, after the start and every minute.
	Reflection bool `yaml:"reflection"`

	// The services, by full name, whose methods may be called. None: all that are known.
	Services []string `yaml:"services"`

	// The largest message, each way, unpacked; 0 means no limit.
	MessageBytes Size `yaml:"messageBytes" default:"4MiB" min:"0" max:"2047MiB"`

	// What becomes of a JSON field or query parameter that the message does not have.
	UnknownFields string `yaml:"unknownFields" default:"refuse" enum:"refuse,discard"`

	// Writes fields that have their default value, too.
	PrintDefaults bool `yaml:"printDefaults"`

	// Writes field names as in the .proto file, not in lowerCamelCase. Both are read in any case.
	ProtoNames bool `yaml:"protoNames"`

	// Writes enum values as numbers. Both are read in any case.
	EnumNumbers bool `yaml:"enumNumbers"`
}

func (k *checker) translate(r *Route, path string) {
	t := r.Translate
	if t == nil {
		return
	}
	if r.Service == "" && len(r.Split) == 0 && !k.written(path[:strings.LastIndexByte(path, '.')]+".split") {
		k.errorAt(path, "", "translate stands beside service or split: there is nothing here to translate for")
	}
	if t.GRPC == nil && t.SOAP == nil && !k.faulty(path) {
		k.errorAt(path, "write grpc: {descriptors: api.pb} or soap: {wsdl: api.wsdl}", "the route does not say what to translate")
	}
	if t.OpenAPI != "" && !strings.HasPrefix(t.OpenAPI, "/") {
		k.errorAt(path+".openapi", "", "a path begins with `/`")
	}
	k.translateGRPC(t.GRPC, path+".grpc")
	k.translateSOAP(t, path+".soap")
}

func (k *checker) translateGRPC(g *TranslateGRPC, path string) {
	if g == nil {
		return
	}
	var given []string
	for _, source := range []string{"descriptors", "protos", "reflection"} {
		if k.written(path + "." + source) {
			given = append(given, source)
		}
	}
	none := g.Descriptors == "" && len(g.Protos) == 0 && !g.Reflection
	switch {
	case len(given) > 1:
		k.errorAt(path+"."+given[1], "keep one of them",
			"the methods are known from exactly one place, here there are "+strings.Join(given, " and "))
	case none && !k.faulty(path):
		k.errorAt(path, "write one of descriptors: api.pb, protos: [api.proto], reflection: true", "nothing says which methods there are")
	}
	if len(g.ImportPaths) > 0 && len(g.Protos) == 0 {
		k.errorAt(path+".importPaths", "", "importPaths is about protos, and there are none")
	}
}
