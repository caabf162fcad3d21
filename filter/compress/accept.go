package compress

import (
	"strings"
)

// maxCodings bounds how many members of Accept-Encoding are looked at.
const maxCodings = 32

// choose is the coding that the client prefers (RFC 9110 section 12.5.3), the first of those it likes equally, or nil if
// it accepts none or prefers the content as it is.
func choose(codings []*coding, accept []string) *coding {
	if len(accept) == 0 {
		return nil
	}
	var best *coding
	quality := 0
	for _, c := range codings {
		if q, _ := qualityOf(c.name, accept); q > quality {
			best, quality = c, q
		}
	}
	if identity, named := qualityOf("identity", accept); named && identity > quality {
		return nil
	}
	return best
}

// qualityOf is how much a client likes a coding, 0 to 1000. named: it says so outright, not by "*".
func qualityOf(name string, accept []string) (quality int, named bool) {
	seen := 0
	for _, line := range accept {
		for member := range strings.SplitSeq(line, ",") {
			if seen++; seen > maxCodings {
				return quality, false
			}
			token, parameters, _ := strings.Cut(member, ";")
			token = strings.TrimSpace(token)
			switch {
			case strings.EqualFold(token, name) || name == "gzip" && strings.EqualFold(token, "x-gzip"):
				return parseQuality(parameters), true
			case token == "*":
				quality = parseQuality(parameters)
			}
		}
	}
	return quality, false
}

// parseQuality reads ";q=0.5" in thousandths. What cannot be read is 0: such a client gets the content as it is.
func parseQuality(parameters string) int {
	parameters = strings.TrimSpace(parameters)
	if parameters == "" {
		return 1000
	}
	name, value, _ := strings.Cut(parameters, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 0
	}
	whole, fraction, _ := strings.Cut(strings.TrimSpace(value), ".")
	if whole != "0" && whole != "1" || len(fraction) > 3 || strings.Trim(fraction, "0123456789") != "" {
		return 0
	}
	q := int(whole[0] - '0')
	for i := range 3 {
		q *= 10
		if i < len(fraction) {
			q += int(fraction[i] - '0')
		}
	}
	return min(q, 1000)
}
