package grpc

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/failure"
)

func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reset := &failure.Error{Source: failure.Upstream, Kind: failure.ConnectionTerminated}
		refused := failure.Request(400, "")
		start := time.Now()
		if err := Late(reset, start, time.Second); err != reset {
			t.Error("in time: ", err)
		}
		time.Sleep(time.Second)
		if f := failure.From(Late(reset, start, time.Second)); f.Kind != failure.HTTPResponseTimeout || !errors.Is(f, reset) {
			t.Error("late: ", f)
		}
		if err := Late(reset, start, 0); err != reset {
			t.Error("no timeout: ", err)
		}
		if err := Late(refused, start, time.Second); err != refused {
			t.Error("the client's own: ", err)
		}
		if err := Late(nil, start, time.Second); err != nil {
			t.Error("none: ", err)
		}
	})
}
