package load

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soakDefault keeps `make test` short; SLUICE_SOAK sets the length that the figures are taken at.
const soakDefault = 5 * time.Second

func soak(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SLUICE_SOAK")
	if text == "" {
		return soakDefault
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SLUICE_SOAK: %v", err)
	}
	return d
}

// eventually waits for what must come true soon, and fails the test with what report says if it does not.
func eventually(t *testing.T, condition func() bool, report func() string) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for late := time.After(30 * time.Second); !condition(); {
		select {
		case <-again.C:
		case <-late:
			t.Fatal(report())
		}
	}
}

func newOrigin(t *testing.T) *Origin {
	t.Helper()
	o, err := NewOrigin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}
