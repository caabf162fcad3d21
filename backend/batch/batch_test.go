package batch_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}

func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

// gateway has a batch at /batch; everything below /open and, with a key, below /closed goes to the service.
func gateway(t *testing.T, settings, extra, service string) *gatewaytest.Gateway {
	t.Helper()
	return gatewaytest.Start(t, fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"%s}]
services: [{name: s, endpoints: [{url: %q}]}]
consumers: [{name: ann, credentials: [{key: "ann-key"}]}]
routes:
  - {name: batch, match: {path: /batch}, batch: {%s}}
  - {name: open, match: {path: /open/*, methods: [GET, POST, PUT]}, service: s}
  - {name: closed, match: {path: /closed/*}, filters: [{keyAuth: {}}, {rateLimit: {limit: 2, window: 1h, key: consumer}}], service: s}
  - {name: fixed, match: {path: /fixed}, respond: {status: 418, body: "tea\n"}}
`, extra, service, settings))
}

func post(t *testing.T, g *gatewaytest.Gateway, batch string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequest("POST", g.URL("public", "/batch"), strings.NewReader(batch))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

type responses struct {
	Responses []struct {
		ID         any             `json:"id"`
		Status     int             `json:"status"`
		Headers    map[string]any  `json:"headers"`
		Body       json.RawMessage `json:"body"`
		BodyBase64 string          `json:"bodyBase64"`
	} `json:"responses"`
}

func batch(t *testing.T, g *gatewaytest.Gateway, text string, header ...string) (r responses) {
	t.Helper()
	status, body := post(t, g, text, header...)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return r
}

// echo tells what arrived.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Add("Set-Cookie", "a=1")
	w.Header().Add("Set-Cookie", "b=2")
	text, _ := json.Marshal([]any{r.Method, r.RequestURI, r.Header, string(body), r.Host})
	fmt.Fprintf(w, `{"got":%s,"number":1.50}`, text)
}

func TestEachGoesItsOwnWay(t *testing.T) {
	g := gateway(t, "", "", serve(t, echo))
	r := batch(t, g, `{"requests":[
		{"id":"a","path":"/open/x?q=%20"},
		{"id":7.0,"method":"POST","path":"/open/y","body":{"n": 1.50}},
		{"method":"PUT","path":"/open/z","headers":{"content-type":"text/plain","x-a":"b"},"body":"te\"xt"},
		{"path":"/nowhere"}, {"path":"/fixed"}, {"method":"DELETE","path":"/open/x"}, {"method":"HEAD","path":"/fixed"},
		{"path":"/closed/x"}, {"path":"/closed/x","headers":{"apikey":"wrong"}}, {"path":"/closed/x","headers":{"apikey":"ann-key"}}
	]}`, "Accept-Language", "de", "X-Other", "o")
	var statuses []int
	for _, one := range r.Responses {
		statuses = append(statuses, one.Status)
	}
	if got := fmt.Sprint(statuses); got != "[200 200 200 404 418 405 418 401 401 200]" {
		t.Fatal(got)
	}
	for i, want := range []string{
		`["GET","/open/x?q=%20",`, `["POST","/open/y",`, `["PUT","/open/z",`, `"No route matches`, `"tea\n"`,
	} {
		if !strings.Contains(string(r.Responses[i].Body), want) {
			t.Errorf("%d: %s", i, r.Responses[i].Body)
		}
	}
	first := string(r.Responses[0].Body)
	if r.Responses[0].ID != "a" || !strings.Contains(first, `"number":1.50`) || !strings.Contains(first, `"Accept-Language":["de"]`) || strings.Contains(first, "X-Other") {
		t.Errorf("%v %s", r.Responses[0].ID, first)
	}
	if got := string(r.Responses[1].Body); !strings.Contains(got, `"{\"n\": 1.50}"`) || !strings.Contains(got, `"Content-Type":["application/json"]`) {
		t.Error(got)
	}
	if got := string(r.Responses[2].Body); !strings.Contains(got, `"te\"xt"`) || !strings.Contains(got, `"X-A":["b"]`) {
		t.Error(got)
	}
	if cookies := r.Responses[0].Headers["set-cookie"]; fmt.Sprint(cookies) != "[a=1 b=2]" {
		t.Errorf("%v", cookies)
	}
	if allow := r.Responses[5].Headers["allow"]; allow == nil {
		t.Error("a 405 without Allow")
	}
	if got := string(r.Responses[9].Body); !strings.Contains(got, `"X-Consumer-Name":["ann"]`) || strings.Contains(got, "ann-key") {
		t.Error(got)
	}
}

// The batch's credentials count where a request has none of its own, and each request is counted by its own limit.
func TestInheritanceAndLimits(t *testing.T) {
	g := gateway(t, "concurrency: 1", "", serve(t, echo))
	r := batch(t, g, `[{"path":"/closed/1"},{"path":"/closed/2","headers":{"apikey":"wrong"}},{"path":"/closed/3"},{"path":"/closed/4"}]`, "apikey", "ann-key")
	got := fmt.Sprint(r.Responses[0].Status, r.Responses[1].Status, r.Responses[2].Status, r.Responses[3].Status)
	if got != "200 401 200 429" || r.Responses[3].Headers["retry-after"] == nil {
		t.Error(got)
	}
	none := gateway(t, "inherit: []", "", serve(t, echo))
	if r := batch(t, none, `[{"path":"/closed/1"}]`, "apikey", "ann-key"); r.Responses[0].Status != 401 {
		t.Error(r.Responses[0].Status)
	}
}

// Who asked is who asked the batch, whatever the requests say, also through a trusted proxy.
func TestNobodyIsBelievedToBeAnother(t *testing.T) {
	for _, name := range []string{"x-forwarded-for", "X_Forwarded_For", "forwarded", "x-real-ip", "x-consumer-name", "x_consumer_groups", "via",
		"connection", "host", "content-length", "transfer-encoding", "upgrade", "te", "expect", "x-request-id", "proxy-authorization", "accept-encoding"} {
		g := gateway(t, "", "", serve(t, echo))
		if status, body := post(t, g, `[{"path":"/open/x","headers":{"`+name+`":"10.9.9.9"}}]`); status != 400 || !strings.Contains(body, "requests[0].headers") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	g := gateway(t, "", ", trustedProxies: [127.0.0.0/8]", serve(t, echo))
	r := batch(t, g, `[{"path":"/open/x"}]`, "X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "https", "X-Request-Id", "outer-1")
	for _, want := range []string{`"X-Real-Ip":["192.0.2.7"]`, `"X-Forwarded-Proto":["https"]`, `"X-Request-Id":["outer-1"]`} {
		if got := string(r.Responses[0].Body); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}

func TestWhatIsNoBatch(t *testing.T) {
	reached := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a request of a refused batch was sent")
		w.WriteHeader(200)
	})
	g := gateway(t, "requests: 2, requestBytes: 1KiB", "", reached)
	for text, want := range map[string]string{
		``: "400 too early", `{`: "400 too early", `{}`: "400 requests is nothing", `[]`: "400 requests is empty", `{"requests":{}}`: "400 not an array",
		`{"requests":[],"x":1}`: "400 unknown member", `{"requests":[],"requests":[]}`: "400 two members",
		`[{"path":"/open/x"},{"path":"/open/x","path":"/closed/x"}]`: "400 requests[1] has two members",
		`[{"path":"/open/x"},{"path":"http://other/x"}]`:             "400 requests[1].path is no path",
		`[{"path":"//other/x"}]`:                                     "400 no path",
		`[{"path":"/open/../../x"}]`:                                 "400 cannot be read",
		`[{"path":"/open/x y"}]`:                                     "400 requests[0].path holds",
		`[{"path":"/open/\r\nx: y"}]`:                                "400 requests[0].path holds",
		`[{"path":"/open/%zz"}]`:                                     "400 requests[0].path",
		`[{"path":"/open/x","method":"GET X"}]`:                      "400 no method",
		`[{"path":"/open/x","method":"get"}]`:                        "400 no method",
		`[{"path":"/open/x","method":1}]`:                            "400 requests[0].method is a number",
		`[{"path":"/open/x","headers":{"a":1}}]`:                     "400 no header field",
		`[{"path":"/open/x","headers":{"a":"b\r\nc: d"}}]`:           "400 no header field",
		`[{"path":"/open/x","headers":{"a b":"c"}}]`:                 "400 no header field",
		`[{"path":"/open/x","headers":{"a":"c","A":"d"}}]`:           "400 twice",
		`[{"path":"/open/x","id":{}}]`:                               "400 requests[0].id is an object",
		`[{"pth":"/open/x"}]`:                                        "400 unknown member",
		`[1]`:                                                        "400 requests[0] is a number",
		`[{"path":"/a"},{"path":"/b"},{"path":"/c"}]`:                "413 at most 2",
		strings.Repeat("[", 100):                                     "400 too deep",
		`["` + strings.Repeat("x", 1024) + `"]`:                      "413 too long",
		"[\"\xff\"]":                                                 "400 not UTF-8",
	} {
		status, body := post(t, g, text)
		code, words, _ := strings.Cut(want, " ")
		if fmt.Sprint(status) != code || !strings.Contains(body, words) {
			t.Errorf("%.60s: %d %s, want %s", text, status, body, want)
		}
	}
	for _, header := range [][]string{{"Content-Type", "text/plain"}, {"Content-Encoding", "gzip"}} {
		if status, _ := post(t, g, `[{"path":"/open/x"}]`, header...); status != 415 {
			t.Errorf("%s: %d", header, status)
		}
	}
}

// A batch within a batch goes four exchanges deep and no further.
func TestDepth(t *testing.T) {
	g := gateway(t, "", "", serve(t, echo))
	nest := func(inner string) string {
		return `[{"method":"POST","path":"/batch","body":` + inner + `}]`
	}
	text := `[{"path":"/fixed"}]`
	for range 3 {
		text = nest(text)
	}
	if _, body := post(t, g, text); strings.Count(body, `"status":200`) != 3 || !strings.Contains(body, `"status":418`) {
		t.Error(body)
	}
	if _, body := post(t, g, nest(text)); !strings.Contains(body, `"status":508`) || strings.Contains(body, "418") {
		t.Error(body)
	}
}

func TestAnswersOfAllKinds(t *testing.T) {
	g := gateway(t, "answerBytes: 1KiB, totalBytes: 1500B, timeout: 2s, concurrency: 1", "", serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/open/binary":
			w.Write([]byte{0xff, 0, 1})
		case "/open/liar":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"half":`)
		case "/open/half":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "secret")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/open/long":
			io.WriteString(w, strings.Repeat("secret", 1000))
		case "/open/long-in-all":
			io.WriteString(w, strings.Repeat("x", 1000))
		case "/open/none":
			w.WriteHeader(204)
		}
	}))
	r := batch(t, g, `[{"path":"/open/binary"},{"path":"/open/liar"},{"path":"/open/half"},{"path":"/open/long"},{"path":"/open/none"},{"path":"/open/long-in-all"}]`)
	got := ""
	for _, one := range r.Responses {
		got += fmt.Sprintf("%d %s%s|", one.Status, one.Body, one.BodyBase64)
	}
	if strings.Contains(got, "secret") || !strings.HasPrefix(got, `200 /wAB|200 "{\"half\":"|502 {"type":"about:blank","title":"Bad Gateway","status":502,`) || strings.Count(got, "502 {") != 3 {
		t.Error(got)
	}
}

// No more than Concurrency at once, and the answers in the order of the requests.
func TestConcurrency(t *testing.T) {
	var at atomic.Int32
	full := make(chan struct{})
	g := gateway(t, "concurrency: 2", "", serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n := at.Add(1); n == 2 {
			close(full)
		} else if n > 2 {
			t.Error("more than two at once")
		}
		<-full
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "%q", r.URL.Path)
		if at.Add(-1) == 0 {
			at.Store(-1 << 10)
		}
	}))
	_, body := post(t, g, `[{"path":"/open/1"},{"path":"/open/2"}]`)
	if first, second := strings.Index(body, `"/open/1"`), strings.Index(body, `"/open/2"`); first < 0 || second < first {
		t.Error(body)
	}
}

func TestTheTimeOfTheBatch(t *testing.T) {
	g := gateway(t, "timeout: 100ms, concurrency: 1", "", serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	r := batch(t, g, `[{"path":"/fixed"},{"path":"/open/1"},{"path":"/open/2"}]`)
	if got := fmt.Sprint(r.Responses[0].Status, r.Responses[1].Status, r.Responses[2].Status); got != "418 504 504" {
		t.Error(got)
	}
}

// Each request has a line in the log, under its own route and the id of the batch.
func TestRecords(t *testing.T) {
	log := t.TempDir() + "/log"
	g := gatewaytest.Start(t, fmt.Sprintf(`
listeners: [{name: public, address: "127.0.0.1:0"}]
routes:
  - {name: batch, match: {path: /batch}, batch: {}}
  - {name: fixed, match: {path: /fixed}, respond: {status: 418}}
telemetry: {accessLog: {to: %s}}
`, log))
	post(t, g, `[{"path":"/fixed"}]`)
	var text []byte
	for deadline := time.Now().Add(10 * time.Second); strings.Count(string(text), "\n") < 2 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, _ = os.ReadFile(log)
	}
	ids := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		ids[fmt.Sprint(record["request_id"])] = true
	}
	if !strings.Contains(string(text), `"route":"fixed"`) || !strings.Contains(string(text), `"route":"batch"`) || len(ids) != 1 {
		t.Error(string(text))
	}
}
