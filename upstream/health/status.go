package health

// Statuses is a set of HTTP status codes. It is comparable, so that settings are; a range of zeros is none.
type Statuses [MaxStatuses]StatusRange

// MaxStatuses is how many ranges a set holds.
const MaxStatuses = 8

// StatusRange is a range of status codes, both ends included.
type StatusRange struct{ From, To int }

// Has reports whether code is in the set.
func (s *Statuses) Has(code int) bool {
	for _, r := range s {
		if r.From <= code && code <= r.To {
			return true
		}
	}
	return false
}
