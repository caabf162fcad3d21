package transcode

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/failure"
)

// A mistake in reading what a client streams ends its call and nothing else.
func TestAPanicOfAnUploadIsAnError(t *testing.T) {
	u := &upload{from: io.NopCloser(strings.NewReader(`{}`)), build: new(call)} // without an operation
	_, err := u.Read(make([]byte, 10))
	if f, ok := errors.AsType[*failure.Error](err); !ok || f.Kind != failure.ProxyInternalError || u.blame(nil) == nil {
		t.Error(err)
	}
}
