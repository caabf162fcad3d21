package config

import "time"

// Batch takes several requests in one JSON document and answers with all their answers. Each goes through the route table
// by itself, with the filters of its own route.
type Batch struct {
	// The most requests of one batch. A larger one is answered 413.
	Requests int `yaml:"requests" default:"20" min:"1" max:"1000"`

	// How many of them run at once.
	Concurrency int `yaml:"concurrency" default:"4" min:"1" max:"64"`

	// The batch itself, beside the route's `bodyBytes`. A longer one is answered 413.
	RequestBytes Size `yaml:"requestBytes" default:"1MiB" min:"1" max:"64MiB"`

	// The body of one answer. A longer one becomes a 502.
	AnswerBytes Size `yaml:"answerBytes" default:"1MiB" min:"1" max:"64MiB"`

	// The bodies of all answers together.
	TotalBytes Size `yaml:"totalBytes" default:"8MiB" min:"1" max:"256MiB"`

	// The header fields that a request has from the batch where it has none of its own.
	Inherit []string `yaml:"inherit" default:"authorization,apikey,cookie,traceparent,tracestate,baggage,accept-language,user-agent"`

	// The time all requests have together; 0: the route's `timeout`.
	Timeout time.Duration `yaml:"timeout" default:"0" min:"0"`
}
