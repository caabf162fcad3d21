package script_test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v4"

	"github.com/sluice-gateway/sluice/gatewaytest"
	"github.com/sluice-gateway/sluice/test/script/internal/conversation"
)

// origin [-each] [-unix PATH] NAME FILE
func origin(ts *testscript.TestScript, neg bool, args []string) {
	s := current(ts)
	flags := newFlags("origin")
	each := flags.Bool("each", false, "play the steps on every connection, over and over")
	unix := flags.String("unix", "", "listen at a unix socket")
	args = positional(ts, flags, neg, args, 2)
	text := s.read(ts, args[1])
	if *each {
		ts.Check(conversation.EachOrigin(s.stage, args[0], s.path(*unix), text))
		return
	}
	r, err := conversation.Origin(s.stage, args[0], s.path(*unix), text)
	ts.Check(err)
	s.running[args[0]] = r
}

// client [-to LISTENER] [-from ADDRESS] [-sni NAME] NAME FILE
func client(ts *testscript.TestScript, neg bool, args []string) {
	s := current(ts)
	flags := newFlags("client")
	to := flags.String("to", "public", "the listener")
	from := flags.String("from", "", "the client's own address")
	sni := flags.String("sni", "", "speak TLS and ask for this name")
	args = positional(ts, flags, neg, args, 2)
	c := conversation.Client{Address: s.stage.Expand("${" + *to + "}"), From: *from}
	if *sni != "" {
		c.TLS = &tls.Config{ServerName: *sni, InsecureSkipVerify: true} // who the gateway is is not what scripts are about
	}
	s.running[args[0]] = c.Play(s.stage, args[0], s.read(ts, args[1]))
}

// gateway [-drain-timeout D] FILE starts one, or reloads it. ! gateway FILE: it must refuse. gateway -drain begins the end.
func gateway(ts *testscript.TestScript, neg bool, args []string) {
	s := current(ts)
	if len(args) == 1 && args[0] == "-drain" {
		s.drain()
		return
	}
	flags := newFlags("gateway")
	timeout := flags.Duration("drain-timeout", 5*time.Second, "for what is open at a drain, or when its route goes")
	args = positional(ts, flags, false, args, 1)
	text := s.stage.Expand(ts.ReadFile(args[0]))
	err := s.start(text)
	if (err != nil) != neg {
		ts.Fatalf("%v\n%s", err, s.log())
	}
	s.gateway.App.DrainTimeout = *timeout
	s.announce(ts, text)
}

func (s *script) start(text string) (err error) {
	if !strings.Contains(text, "\ntelemetry:") {
		text += "\ntelemetry: {accessLog: {to: \"" + s.path("access.log") + "\"}}\n"
	}
	if s.gateway != nil {
		return s.gateway.Reload(text)
	}
	s.gateway, err = gatewaytest.Try(s.t, text)
	return err
}

// announce makes the address of every listener the value of its name.
func (s *script) announce(ts *testscript.TestScript, text string) {
	var names struct {
		Listeners []struct{ Name, Address string }
	}
	ts.Check(yaml.Unmarshal([]byte(text), &names))
	s.adminAddress = s.gateway.App.AdminAddress() // a draining gateway does not say
	for _, l := range names.Listeners {
		address := s.gateway.Addr(l.Name)
		if path, unix := strings.CutPrefix(l.Address, "unix:"); unix {
			address = "unix:" + path
		}
		s.stage.Set(l.Name, address)
		_, port, _ := strings.Cut(address, ":")
		s.stage.Set(l.Name+"_port", port)
	}
}

func (s *script) drain() {
	s.drained = make(chan struct{})
	go func() {
		s.gateway.App.Drain()
		close(s.drained)
	}()
}

// expect waits: for conversations to end well, or for the gateway to show something.
func expect(ts *testscript.TestScript, neg bool, args []string) {
	s := current(ts)
	if len(args) == 0 {
		ts.Fatalf("usage: expect NAME... | metric TEXT | admin PATH STATUS [TEXT] | record TEXT... | log TEXT | refused LISTENER | drained")
	}
	shows := map[string]func([]string) bool{
		"metric":  func(a []string) bool { return s.admin("/metrics", "200", a[0]+"\n") },
		"admin":   func(a []string) bool { return s.admin(a[0], a[1], strings.Join(a[2:], " ")) },
		"record":  s.recorded,
		"refused": func(a []string) bool { return s.refuses(a[0]) },
		"log":     func(a []string) bool { return strings.Contains(s.log(), a[0]) },
	}
	for i := range args {
		args[i] = s.stage.Expand(args[i])
	}
	shown := shows[args[0]]
	switch {
	case args[0] == "drained":
		<-s.drained
	case shown == nil:
		s.finishAll(ts, args)
	case neg:
		if shown(args[1:]) {
			ts.Fatalf("there it is: %q", args)
		}
	case !s.until(func() bool { return shown(args[1:]) }):
		ts.Fatalf("never came: %q\nrecords:\n%s\n%v", args, s.record(), s.stage.Failure())
	}
}

// finishAll waits for conversations. The stage tells what went wrong in them.
func (s *script) finishAll(ts *testscript.TestScript, names []string) {
	failed := false
	for _, name := range names {
		r := s.running[name]
		if r == nil {
			ts.Fatalf("%s is no conversation", name)
		}
		failed = r.Wait() != nil || failed
	}
	if failed {
		ts.Fatalf("a conversation failed")
	}
}

// refuses reports whether a listener accepts no more.
func (s *script) refuses(listener string) bool {
	c, err := net.Dial("tcp", s.stage.Expand("${"+listener+"}"))
	if err == nil {
		c.Close()
	}
	return err != nil
}

// recorded reports whether a line of the access log holds every text.
func (s *script) recorded(texts []string) bool {
	for line := range strings.Lines(s.record()) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			return true
		}
	}
	return false
}

// admin reports whether the admin listener answers so.
func (s *script) admin(path, status, text string) bool {
	r, err := http.NewRequest("GET", "http://"+s.adminAddress+path, nil)
	if err != nil {
		return false
	}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return err == nil && strconv.Itoa(response.StatusCode) == status && strings.Contains(string(body), text)
}

func newFlags(verb string) *flag.FlagSet {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// positional are the arguments behind the flags, just want of them.
func positional(ts *testscript.TestScript, flags *flag.FlagSet, neg bool, args []string, want int) []string {
	if neg {
		ts.Fatalf("%s cannot be negated", flags.Name())
	}
	if err := flags.Parse(args); err != nil || flags.NArg() != want {
		var usage strings.Builder
		flags.SetOutput(&usage)
		flags.PrintDefaults()
		ts.Fatalf("%s wants %d arguments: %v\n%s", flags.Name(), want, fmt.Sprint(err), usage.String())
	}
	return flags.Args()
}
