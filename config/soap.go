package config

import "strings"

// TranslateSOAP is a translation between SOAP and HTTP with JSON, as a WSDL 1.1 description says. Clients call
// `POST /operation` with JSON and the service speaks SOAP; with `rest`, clients speak SOAP and the service HTTP with JSON.
type TranslateSOAP struct {
	// The description: a file, or its text. Schemas and descriptions that it imports are found relative to it, and are
	// local files.
	WSDL string `yaml:"wsdl" required:"true"`

	// The port of the description to call. Empty: the first that speaks SOAP.
	Port string `yaml:"port"`

	// The path of the service's endpoint, with a query if it has one. Empty: that of the address in the description.
	Path string `yaml:"path"`

	// XML elements that stand in the Header of every call.
	Headers []Secret `yaml:"headers"`

	// Who the gateway says it is in every call, by WS-Security's UsernameToken.
	UsernameToken *UsernameToken `yaml:"usernameToken"`

	// Clients speak SOAP, and the service HTTP with JSON. The description is served at the route's path with `?wsdl`.
	REST *SOAPToREST `yaml:"rest"`

	// The largest message, each way; 0 means no limit.
	MessageBytes Size `yaml:"messageBytes" default:"4MiB" min:"0" max:"1GiB"`
}

// UsernameToken is a WS-Security UsernameToken, with a nonce and the time of the call.
type UsernameToken struct {
	// Who calls.
	Username string `yaml:"username" required:"true"`

	// The password.
	Password Secret `yaml:"password" required:"true"`

	// How the password travels: `digest` sends SHA-1 of nonce, time and password, `text` the password itself.
	Type string `yaml:"type" default:"digest" enum:"digest,text"`

	// Makes the service refuse the call if it does not check the token.
	MustUnderstand bool `yaml:"mustUnderstand" default:"true"`
}

// SOAPToREST says which requests the operations become.
type SOAPToREST struct {
	// By the name of the operation. One that is not here is `POST /operation` with its input as JSON.
	Operations map[string]SOAPOperation `yaml:"operations"`
}

// SOAPOperation is the request that a call of an operation becomes.
type SOAPOperation struct {
	// The method. With GET and DELETE, what is not in the path is in the query.
	Method string `yaml:"method" default:"POST" enum:"GET,POST,PUT,PATCH,DELETE"`

	// The path, with `{field}` or `{outer.inner}` of the input in it, a query too. Empty: `/operation`.
	Path string `yaml:"path"`

	// The field of the input that is the body, or `none`. Empty: the fields that are not in the path.
	Body string `yaml:"body"`

	// The field of the output that the JSON of the answer becomes. Empty: the output itself.
	Answer string `yaml:"answer"`
}

func (k *checker) translateSOAP(t *Translate, path string) {
	s := t.SOAP
	if s == nil {
		return
	}
	if t.GRPC != nil {
		k.errorAt(path, "make one route for each", "a route translates gRPC or SOAP, not both")
	}
	if s.Path != "" && !strings.HasPrefix(s.Path, "/") {
		k.errorAt(path+".path", "", "a path begins with `/`")
	}
	if s.REST == nil {
		return
	}
	for _, key := range []string{"path", "headers", "usernameToken"} {
		if k.written(path + "." + key) {
			k.errorAt(path+"."+key, "", "`"+key+"` is about calls to a SOAP service; with `rest` the service speaks HTTP with JSON")
		}
	}
	if t.OpenAPI != "" {
		k.errorAt(path[:strings.LastIndexByte(path, '.')]+".openapi", "remove it: the description is at ?wsdl",
			"clients of this route speak SOAP, and OpenAPI cannot describe that")
	}
	for name, o := range s.REST.Operations {
		if o.Path != "" && !strings.HasPrefix(o.Path, "/") {
			k.errorAt(path+".rest.operations."+name+".path", "", "a path begins with `/`")
		}
	}
}
