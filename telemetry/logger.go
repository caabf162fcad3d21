package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger makes the gateway's own log, one line an event: format is text or json. Lines below level are discarded.
func NewLogger(w io.Writer, format string, level slog.Level) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("log format %q is not supported: use text or json", format)
	}
}
