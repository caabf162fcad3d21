package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-gateway/sluice/gatewaytest/freeport"
)

// writeProfile runs one gateway under the loads of the cases, one after another, and keeps a CPU profile of all of them.
func (r *rig) writeProfile(name string) error {
	loads := []generator{
		plainLoad(64)(r), plainLoad(64)(r), fullLoad(r), fullLoad(r), postLoad(r), tlsLoad(r), http2Load(r), grpcLoad(r), largeLoad(r),
		wrk{url: "http://" + r.Plain + "/three", connections: 64}, r.ordersAsJSON(),
	}
	if err := r.orderFiles(); err != nil {
		return err
	}
	const each = 4 * time.Second
	admin, err := freeport.Find()
	if err != nil {
		return err
	}
	r.Admin = admin
	profiled := peer{name: "sluice", args: func(r *rig) []string {
		return []string{r.sluice, "run", "--pprof", r.render("sluice-profile.yaml")}
	}}
	return r.with(profiled, func(int) error {
		fetched := make(chan error, 1)
		go func() { fetched <- r.fetchProfile(name, time.Duration(len(loads))*each) }()
		for _, g := range loads {
			if _, err := g.run(each); err != nil {
				return err
			}
		}
		return <-fetched
	})
}

// fetchProfile asks the gateway for a profile of the time to come. It is written beside its place and then put there, so
// that half of one never is.
func (r *rig) fetchProfile(name string, length time.Duration) error {
	res, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", r.Admin, int(length.Seconds())))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway gives no profile: %s", res.Status)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".profile")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := io.Copy(f, res.Body); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
