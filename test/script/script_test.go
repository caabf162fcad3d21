// Package script_test runs the conversation scripts of testdata, each a short talk between clients, a gateway and
// origins over raw connections. README.md describes how to write one.
package script_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/gatewaytest"
	"github.com/sluice-gateway/sluice/test/script/internal/conversation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScripts(t *testing.T) {
	testscript.RunT(runner{T: t}, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			s := env.T().(runner).script
			s.work = env.WorkDir
			s.stage.Set("WORK", env.WorkDir)
			env.Values[scriptKey{}] = s
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"origin": origin, "gateway": gateway, "client": client, "expect": expect, "certificate": certificate,
		},
		RequireUniqueNames: true,
	})
}

// A script is one file while it runs.
type script struct {
	t            *testing.T
	work         string
	stage        *conversation.Stage
	gateway      *gatewaytest.Gateway
	adminAddress string
	running      map[string]*conversation.Running
	drained      chan struct{} // nil: the script has not asked for it
	leaks        goleak.Option // what ran before
}

type scriptKey struct{}

func current(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// runner is testscript's view of a test. Scripts run one after the other, so that what is left behind has one to blame.
type runner struct {
	*testing.T
	script *script
}

func (runner) Parallel()     {}
func (runner) Verbose() bool { return testing.Verbose() }

func (r runner) Run(name string, f func(testscript.T)) {
	r.T.Run(name, func(t *testing.T) {
		s := &script{t: t, stage: conversation.NewStage(), running: make(map[string]*conversation.Running)}
		s.leaks = goleak.IgnoreCurrent()
		t.Cleanup(s.finish)
		f(runner{T: t, script: s})
	})
}

// finish is called when the gateway is drained, after the last line or the first failure.
func (s *script) finish() {
	if err := s.stage.Close(); err != nil {
		s.t.Errorf("%v\nthe gateway said:\n%s", err, s.log())
	}
	if err := goleak.Find(s.leaks); err != nil {
		s.t.Error(err)
	}
}

func (s *script) log() string {
	if s.gateway == nil {
		return ""
	}
	return s.gateway.Log.String()
}

// until waits for a condition, as long as the script may take.
func (s *script) until(holds func() bool) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-s.stage.Done():
			return false
		}
	}
	return true
}

func (s *script) read(ts *testscript.TestScript, file string) *conversation.Text {
	text, err := conversation.Parse(file, ts.ReadFile(file))
	ts.Check(err)
	return text
}

func (s *script) path(file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(s.work, file)
}

// record is what the access log holds so far.
func (s *script) record() string {
	data, err := os.ReadFile(s.path("access.log"))
	if err != nil {
		return ""
	}
	return string(data)
}
