package soap

import (
	"errors"
	"strings"

	"github.com/sluice-gateway/sluice/backend/translate/soap/xsd"
)

// A misfit is a value that the schema does not allow, with the way to it: `order.items[2].price`.
type misfit struct {
	path   string
	reason string
}

func (m *misfit) Error() string {
	if m.path == "" {
		return m.reason
	}
	return "`" + m.path + "` " + m.reason
}

func fault(reason string) error { return &misfit{reason: reason} }

// within puts one more step before the way to a misfit. Other errors pass.
func within(step string, err error) error {
	var of *xsd.Misfit
	if errors.As(err, &of) {
		err = &misfit{of.Key, of.Reason}
	}
	m, ok := err.(*misfit)
	switch {
	case !ok || step == "":
		return err
	case m.path == "" || strings.HasPrefix(m.path, "["):
		return &misfit{step + m.path, m.reason}
	}
	return &misfit{step + "." + m.path, m.reason}
}
