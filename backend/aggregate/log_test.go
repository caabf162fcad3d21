package aggregate_test

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// firstLine waits for the first line of a log.
func firstLine(t *testing.T, path string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if line, _, ok := bytes.Cut(text, []byte("\n")); err == nil && ok {
			return string(line)
		}
	}
	t.Fatal("nothing was logged")
	return ""
}
