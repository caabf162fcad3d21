package transcode

import "testing"

func TestSaysOtherThanJSON(t *testing.T) {
	for contentType, want := range map[string]bool{
		"": false, "application/json": false, "application/JSON; charset=utf-8": false, "application/x-ndjson": false,
		"application/problem+json": false, "application/x-www-form-urlencoded": false, "text/plain;charset=UTF-8": false,
		"image/jpeg": true, "multipart/form-data; boundary=json": true, "application/proto": true, "text/html": true,
	} {
		if got := saysOtherThanJSON(contentType); got != want {
			t.Errorf("%q: %t", contentType, got)
		}
	}
}
