package compile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/filter"
	"github.com/sluice-gateway/sluice/filter/all"
	"github.com/sluice-gateway/sluice/snapshot"
	"github.com/sluice-gateway/sluice/store/memory"
	"github.com/sluice-gateway/sluice/telemetry"
)

var update = flag.Bool("update", false, "write what is printed into the golden files")

// TestGolden compiles the first file of every archive and compares what is found, and what was made of it, with the
// last, `want`. Between them stand files that the configuration may name; certificates and keys there always are.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files := maps.Clone(certificates(t))
			for _, f := range archive.Files[1:] {
				files[f.Name] = f.Data
			}
			have := compiled(t, archive.Files[0], files)
			want := &archive.Files[len(archive.Files)-1]
			if want.Name != "want" {
				t.Fatalf("the last file is %s, not want", want.Name)
			}
			if *update {
				want.Data = have
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want.Data), string(have)); diff != "" {
				t.Errorf("(-want +have)\n%s", diff)
			}
		})
	}
}

// compiled is what a person would read of it.
func compiled(t *testing.T, f txtar.File, files map[string][]byte) []byte {
	t.Helper()
	s, found := compileText(t, f.Name, string(f.Data), nil, files)
	var b bytes.Buffer
	if err := found.Print(&b); err != nil {
		t.Fatal(err)
	}
	if (s == nil) != found.HasErrors() {
		t.Errorf("snapshot: %v, errors: %v", s != nil, found.HasErrors())
	}
	if s != nil {
		dump(&b, s)
	}
	return b.Bytes()
}

func compileText(t testing.TB, name, text string, before *snapshot.Snapshot, files map[string][]byte) (*snapshot.Snapshot, config.Diagnostics) {
	t.Helper()
	registry, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	c, found := config.Parse([]config.File{{Name: name, Data: []byte(text)}}, config.Options{})
	if c == nil {
		t.Fatal(found.Err())
	}
	return Compile(c, found, Options{
		Registry: registry,
		Limiter:  memory.New(0),
		Metrics:  telemetry.NewMetrics(func() telemetry.Live { return telemetry.Live{} }),
		ReadFile: func(name string) ([]byte, error) {
			if data, ok := files[name]; ok {
				return data, nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		Previous: before,
		Revision: "0123456789ab",
	})
}

// dump writes listeners, routes and the final order of their filters.
func dump(w io.Writer, s *snapshot.Snapshot) {
	for _, l := range s.Listeners {
		fmt.Fprintf(w, "listener %s at %s", l.Name, l.Address)
		if l.TLS != nil {
			fmt.Fprint(w, ", TLS")
		}
		fmt.Fprintf(w, ", http1 %v, http2 %v, body %d\n", l.HTTP1, l.HTTP2, l.Limits.BodyBytes)
		dumpFilters(w, l.Unmatched)
		for _, r := range s.Routes {
			if r.Listener == l.Name {
				fmt.Fprintf(w, "  route %s: %s, body %d\n", r.Name, r.End, r.BodyBytes)
				dumpFilters(w, r.Pipeline)
			}
		}
	}
}

func dumpFilters(w io.Writer, p *filter.Pipeline) {
	for _, f := range p.Placed() {
		scope := f.Scope
		if scope == "" {
			scope = "top"
		}
		fmt.Fprintf(w, "    %-13s%-18s%s\n", f.Phase, f.Name, scope)
	}
}

// certificates are one.crt, one.key, two.crt, two.key, and ca.pem, which is one.crt.
var certificates = func() func(testing.TB) map[string][]byte {
	var once sync.Once
	files := make(map[string][]byte)
	return func(t testing.TB) map[string][]byte {
		t.Helper()
		once.Do(func() {
			for _, name := range []string{"one", "two"} {
				files[name+".crt"], files[name+".key"] = selfSigned(t, name+".test")
			}
			files["ca.pem"] = files["one.crt"]
		})
		return files
	}
}()

func selfSigned(t testing.TB, host string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}
