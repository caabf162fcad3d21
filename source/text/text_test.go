package text

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const one = "listeners: [{name: one, address: \":0\"}]\n"

func TestLoadGivesTheNewestText(t *testing.T) {
	s := New("demo.yaml", one, config.Options{})
	first := s.Load()
	if first.Diagnostics.HasErrors() || first.Config.Listeners[0].Name != "one" || len(first.Revision) != 12 {
		t.Fatalf("%+v", first)
	}
	if again := s.Load(); again.Revision != first.Revision {
		t.Errorf("the same text is %s and %s", first.Revision, again.Revision)
	}
	s.Set("listeners: [{name: two")
	second := s.Load()
	if second.Revision == first.Revision || !second.Diagnostics.HasErrors() || second.Diagnostics[0].File != s.String() {
		t.Errorf("a broken text: %+v", second)
	}
}

// Watch tells of every text that Load has not been asked for since, and several before it looks are one change.
func TestWatchTellsOfANewText(t *testing.T) {
	s := New("demo.yaml", one, config.Options{})
	s.Set(one + "# 1\n")
	s.Set(one + "# 2\n")
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan string), make(chan struct{})
	go func() {
		defer close(ended)
		s.Watch(ctx, func() { told <- s.Load().Revision })
	}()
	latest := s.Load().Revision
	if got := <-told; got != latest {
		t.Errorf("told of %s, the text is %s", got, latest)
	}
	s.Set(one + "# 3\n")
	if got := <-told; got == latest {
		t.Error("told of the text before")
	}
	cancel()
	<-ended
	select {
	case <-s.changed:
		t.Error("there was more to tell")
	default:
	}
}
