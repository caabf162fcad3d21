package connect

import (
	"bytes"
	"errors"
	"testing"

	wire "github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/failure"
)

// A mistake in reading what a client streams ends its call and nothing else.
func TestAPanicOfAConverterIsAnError(t *testing.T) {
	r := &converter{frames: wire.Reader{From: bytes.NewReader(make([]byte, wire.HeaderBytes))}, convert: func([]byte, bool) ([]byte, error) { panic("?") }}
	_, err := r.Read(make([]byte, 10))
	if f, ok := errors.AsType[*failure.Error](err); !ok || f.Kind != failure.ProxyInternalError {
		t.Error(err)
	}
}
