package soap

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/backend/translate/soap/wsdl"
)

// A message of about 2 KB: what an order with ten items is.
var benchJSON = order(`,"item":[` + strings.TrimSuffix(strings.Repeat(`{"sku":"AB1","price":{"@currency":"EUR","#text":12.50}},`, 10), ",") + `],"state":"open"`)

func BenchmarkWrite(b *testing.B) {
	m := shop(b).Operation("Place").Input
	w := new(writer)
	text, out := []byte(benchJSON), make([]byte, 0, 8<<10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := w.doc.parseJSON(text); err != nil {
			b.Fatal(err)
		}
		w.start(out, 1<<20)
		if err := w.message(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	m := shop(b).Operation("Place").Input
	inner, err := write(m, benchJSON)
	if err != nil {
		b.Fatal(err)
	}
	f := newFrame(wsdl.SOAP11)
	text := []byte(f.open + f.body + inner + f.end)
	r, out := new(reader), make([]byte, 0, 8<<10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		start, err := r.open(text)
		if err != nil {
			b.Fatal(err)
		}
		roots, err := r.message(m, start)
		if err != nil {
			b.Fatal(err)
		}
		r.showMessage(out, m, roots)
	}
}
