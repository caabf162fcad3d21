package gatewaytest

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const configuration = `
listeners: [{name: public, address: "127.0.0.1:0"}]
routes: [{name: all, match: {path: /*}, respond: {status: 200, body: one}}]
`

func TestGatewayRunsAndReloads(t *testing.T) {
	g := Start(t, configuration)
	if g.Addr("public") == "" || g.Addr("nobody") != "" || g.URL("public", "/x") != "http://"+g.Addr("public")+"/x" {
		t.Errorf("public is at %q, nobody at %q", g.Addr("public"), g.Addr("nobody"))
	}
	if status, body := g.Admin("/config"); status != 200 || !strings.Contains(body, `"one"`) {
		t.Errorf("/config: %d %s", status, body)
	}
	if err := g.Reload(strings.Replace(configuration, "one", "two", 1)); err != nil {
		t.Fatal(err)
	}
	if _, body := g.Admin("/config"); !strings.Contains(body, `"two"`) {
		t.Errorf("/config after the reload: %s", body)
	}
	if err := g.Reload("listeners: []"); err == nil || !strings.Contains(g.Log.String(), "refused") {
		t.Errorf("a broken configuration: %v\n%s", err, g.Log)
	}
}

func TestTryTellsWhatIsWrong(t *testing.T) {
	g, err := Try(t, strings.Replace(configuration, "respond", "respnod", 1))
	if err == nil || !strings.Contains(g.Log.String(), "did you mean `respond`?") {
		t.Errorf("%v\n%s", err, g.Log)
	}
}

// What the text says of the admin listener and the access log stands.
func TestCompleteAddsOnlyWhatIsMissing(t *testing.T) {
	for _, test := range []struct {
		text             string
		admin, telemetry int
	}{
		{configuration, 1, 1},
		{configuration + "admin: off\n", 1, 1},
		{"telemetry: {}\n" + configuration, 1, 1},
	} {
		whole := "\n" + complete(test.text)
		if a, b := strings.Count(whole, "\nadmin:"), strings.Count(whole, "\ntelemetry:"); a != test.admin || b != test.telemetry {
			t.Errorf("%d admin, %d telemetry in\n%s", a, b, whole)
		}
	}
}
