package demo

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
)

func listenOn(t *testing.T, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil && port == 0 {
		t.Fatal(err)
	}
	return l
}

func TestTourIsForPasting(t *testing.T) {
	var b strings.Builder
	if err := (Tour{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "sluice"}).Print(&b); err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`\{(public|internal|admin|program)\}`).MatchString(b.String()) {
		t.Errorf("a placeholder was left:\n%s", &b)
	}
	lines := strings.Split(b.String(), "\n")
	curls := 0
	for i, line := range lines {
		if !strings.Contains(line, "curl ") {
			continue
		}
		curls++
		if !strings.HasPrefix(line, "curl -sS") {
			t.Errorf("%q does not begin with the command", line)
		}
		if regexp.MustCompile(` (-f|--fail|--max-time|-m) `).MatchString(line) {
			t.Errorf("%q may not exit with 0", line)
		}
		if !strings.HasPrefix(lines[i-1], "# ") {
			t.Errorf("nothing says what to expect of %q", line)
		}
	}
	if curls < 8 {
		t.Errorf("%d commands are too few", curls)
	}
}
