package listen

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	const limit = 10 * time.Second
	for _, c := range []struct {
		name string
		do   func(w *watch)
		want time.Duration // when it expires; 0: never
	}{
		{"nothing owed", func(*watch) {}, 0},
		{"owed and not given", func(w *watch) { w.begin() }, limit},
		{"given in time", func(w *watch) { w.begin(); time.Sleep(limit - 1); w.end() }, 0},
		{"owed again", func(w *watch) {
			w.begin()
			time.Sleep(limit - 1)
			w.end()
			time.Sleep(limit / 2)
			w.begin()
		}, limit - 1 + limit/2 + limit},
		{"owed again long after", func(w *watch) { w.begin(); w.end(); time.Sleep(5 * limit); w.begin() }, 6 * limit},
		{"begun anew", func(w *watch) { w.begin(); time.Sleep(limit / 2); w.begin() }, limit + limit/2},
		{"again only while owed", func(w *watch) { w.again() }, 0},
		{"again", func(w *watch) { w.begin(); time.Sleep(limit / 2); w.again() }, limit + limit/2},
		{"stopped", func(w *watch) { w.begin(); w.stop() }, 0},
		{"begun after stop", func(w *watch) { w.stop(); w.begin() }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var expired time.Duration
				w := newWatch(limit, func() { expired = time.Since(began) })
				c.do(w)
				time.Sleep(20 * limit)
				late := w.late()
				w.stop()
				if expired != c.want || late != (c.want != 0) {
					t.Errorf("expired after %v, want %v; late %v", expired, c.want, late)
				}
			})
		})
	}
}

func TestNoWatch(t *testing.T) {
	w := newWatch(0, func() { t.Error("expired") })
	w.begin()
	w.again()
	if w.end() || w.late() {
		t.Error("late")
	}
	w.stop()
}
