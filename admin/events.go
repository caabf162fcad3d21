package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sluice-gateway/sluice/telemetry"
)

// page is the answer to /events.
type page struct {
	Last   uint64            `json:"last"` // the newest seq there is: ?after=LAST gives what comes next
	Events []telemetry.Event `json:"events"`
}

// events shows what happened last, oldest first: all that is kept, or what comes after a seq, of a kind, of a service, and
// of that the newest so many.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventQuery(r.URL.Query())
	if err != nil {
		text(w, http.StatusBadRequest, err.Error()+"\n")
		return
	}
	kept, last := a.Metrics.Events().Since(q.after)
	shown := page{Last: last, Events: []telemetry.Event{}}
	for _, event := range kept {
		if q.takes(event) {
			shown.Events = append(shown.Events, event)
		}
	}
	if q.limit > 0 && len(shown.Events) > q.limit {
		shown.Events = shown.Events[len(shown.Events)-q.limit:]
	}
	writeJSON(w, http.StatusOK, shown)
}

type eventQuery struct {
	after         uint64
	limit         int // 0: none
	kind, service string
}

func (q *eventQuery) takes(e telemetry.Event) bool {
	return (q.kind == "" || string(e.Kind) == q.kind) && (q.service == "" || e.Service == q.service)
}

func parseEventQuery(values url.Values) (q eventQuery, err error) {
	for name, given := range values {
		switch name {
		case "after":
			q.after, err = strconv.ParseUint(given[0], 10, 64)
		case "limit":
			if q.limit, err = strconv.Atoi(given[0]); err == nil && q.limit < 1 {
				err = fmt.Errorf("below 1")
			}
		case "kind":
			q.kind = given[0]
		case "service":
			q.service = given[0]
		default:
			return q, fmt.Errorf("unknown parameter %q; there are after, kind, limit and service", name)
		}
		if err != nil {
			return q, fmt.Errorf("%s is not a number that makes sense", name)
		}
	}
	return q, nil
}
