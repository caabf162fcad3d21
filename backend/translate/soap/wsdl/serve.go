package wsdl

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// A Page is one document of a description as clients get it, in pieces: where they meet stands the address at which they
// asked. Imports name each other by query at that address.
type Page struct{ pieces []string }

// Append writes the page with an address, which is escaped already.
func (p *Page) Append(b []byte, address string) []byte {
	for i, piece := range p.pieces {
		if i > 0 {
			b = append(b, address...)
		}
		b = append(b, piece...)
	}
	return b
}

// here stands for the address while a page is made. No XML can hold it.
const here = "\x00"

// Pages are the documents, by the query that asks for them: `wsdl`, `wsdl=2`, `xsd=1`.
func (m *Model) Pages() map[string]*Page {
	pages := make(map[string]*Page, len(m.Documents))
	for i, d := range m.Documents {
		text := d.Root.Append([]byte(xml.Header), func(n *xsd.Node, a xml.Attr) string {
			return m.located(d, n, a)
		})
		pages[m.query(i)] = &Page{strings.Split(string(text), here)}
	}
	return pages
}

func (m *Model) query(i int) string {
	switch {
	case i == 0:
		return "wsdl"
	case m.Documents[i].Root.Name.Local == "schema":
		return fmt.Sprintf("xsd=%d", i)
	}
	return fmt.Sprintf("wsdl=%d", i)
}

func (m *Model) located(d *Document, n *xsd.Node, a xml.Attr) string {
	value := strings.ReplaceAll(a.Value, here, "")
	if a.Name.Space != "" {
		return value
	}
	switch {
	case a.Name.Local == "location" && n.Name.Local == "address" && (n.Name.Space == NamespaceSOAP11 || n.Name.Space == NamespaceSOAP12):
		return here
	case a.Name.Local == "location" || a.Name.Local == "schemaLocation":
		if i, imported := d.Imports[n]; imported {
			return here + "?" + m.query(i)
		}
	}
	return value
}
