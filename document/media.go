package document

import "strings"

// IsJSON reports whether a media type is JSON's or one built on it (RFC 6839).
func IsJSON(media string) bool {
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// IsXML reports whether a media type is XML's or one built on it (RFC 7303).
func IsXML(media string) bool {
	return media == "application/xml" || media == "text/xml" || strings.HasSuffix(media, "+xml")
}

// IsForm reports whether a media type is that of a form.
func IsForm(media string) bool { return media == "application/x-www-form-urlencoded" }
