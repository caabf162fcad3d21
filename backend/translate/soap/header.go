package soap

import (
	"errors"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// CheckHeader says why text cannot be a header of an envelope: it must be one XML element that stands by itself.
func CheckHeader(text string) error {
	n, err := xsd.Parse("header", []byte(text))
	switch {
	case err != nil:
		return errors.New("it is not one XML element, whole and with its namespaces declared")
	case n.Name.Space == "":
		return errors.New("a header belongs to a namespace: write xmlns=\"…\" on it")
	case len(text) > 0 && (text[0] != '<' || len(text) > 1 && text[1] == '?'):
		return errors.New("it begins with its own start tag")
	}
	return nil
}
