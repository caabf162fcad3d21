package transcode

import (
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/failure"
)

var errMedia = failure.Request(http.StatusUnsupportedMediaType, "The body must be JSON.")

// saysOtherThanJSON tells a body that is surely none. What clients send who name no type, or curl for them, is read as JSON.
func saysOtherThanJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); media {
	case "", "text/plain", "application/x-www-form-urlencoded":
		return false
	}
	return !strings.Contains(media, "json")
}
