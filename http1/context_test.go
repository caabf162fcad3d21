package http1

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/failure"
)

type someKey struct{}

func TestScopeEndsWithItsParent(t *testing.T) {
	for name, outer := range map[string]func() (context.Context, func()){
		"a context": func() (context.Context, func()) { return context.WithCancel(context.Background()) },
		"a scope":   func() (context.Context, func()) { s := NewScope(context.Background()); return s, s.Cancel },
		"a value of a scope": func() (context.Context, func()) {
			s := NewScope(context.Background())
			return context.WithValue(s, someKey{}, 1), s.Cancel
		},
	} {
		t.Run(name, func(t *testing.T) {
			parent, cancel := outer()
			first, second, third := NewScope(parent), NewScope(parent), NewScope(parent)
			within := NewScope(second)
			derived, release := context.WithCancel(first)
			defer release()
			first.End()
			<-derived.Done() // what is left of an ended scope would outlive the client
			third.Cancel()
			if third.Err() == nil || second.Err() != nil || parent.Err() != nil {
				t.Errorf("cancelling one: %v, its sibling: %v, their parent: %v", third.Err(), second.Err(), parent.Err())
			}
			cancel()
			<-second.Done()
			<-within.Done()
			if second.Err() == nil || within.Err() == nil {
				t.Errorf("the open ones: %v, %v", second.Err(), within.Err())
			}
			within.End()
			second.End()
			third.End()
			late := NewScope(parent)
			<-late.Done()
			late.End()
		})
	}
}

// Scopes come and go while their parent is cancelled: each is cancelled or has ended, and none is in the way of another.
func TestScopesComeAndGo(t *testing.T) {
	for range 50 {
		parent := NewScope(context.Background())
		var busy sync.WaitGroup
		for range 4 {
			busy.Go(func() {
				for parent.Err() == nil {
					s := NewScope(parent)
					inner := NewScope(s)
					inner.End()
					s.End()
				}
				s := NewScope(parent)
				<-s.Done()
				s.End()
			})
		}
		parent.Cancel()
		busy.Wait()
		if parent.children != nil {
			t.Fatal("a scope that has ended is still known to its parent")
		}
		parent.End()
	}
}

// Several requests at once, each in a scope of its own: one is given up alone, and the client's going away gives up the rest.
func TestScopesOfOneRequest(t *testing.T) {
	const n = 3
	tr, arrived, closed := waitingEndpoint(t)
	checked := make(chan bool)
	_, dial := serve(t, handlerFunc(func(ctx context.Context, r *http.Request, w *Writer) {
		var calls sync.WaitGroup
		var scopes [n]*Scope
		for i := range scopes {
			scopes[i] = NewScope(ctx)
			calls.Go(func() {
				defer scopes[i].End()
				_, err := tr.RoundTrip(scopes[i], r, &Call{})
				if f := failure.From(err); f == nil || f.Kind != failure.ClientGone {
					t.Errorf("got %v", err)
				}
			})
		}
		for range scopes {
			<-arrived
		}
		scopes[1].Cancel()
		<-closed
		if scopes[0].Err() != nil || scopes[2].Err() != nil {
			t.Error("the others have ended too")
		}
		checked <- true
		calls.Wait()
	}))
	c := dial()
	say(t, c, get)
	<-checked
	c.Close()
	for range n - 1 {
		<-closed
	}
}

// What answers lie in is taken back at the end of their scope, read or not.
func TestScopeTakesAnswersBack(t *testing.T) {
	tr := endpoint(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	for _, read := range []bool{true, false} {
		s := NewScope(context.Background())
		res, err := tr.RoundTrip(s, ask("GET", "http://h/", ""), &Call{})
		if err != nil {
			t.Fatal(err)
		}
		if text := "hello"; read {
			if got, err := io.ReadAll(res.Body); string(got) != text || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		s.End()
		if s.kept.Load() != nil {
			t.Error("an answer is still held")
		}
		if open, idle := tr.Conns(); open != idle {
			t.Errorf("%d connections are open and %d of them idle", open, idle)
		}
	}
}
