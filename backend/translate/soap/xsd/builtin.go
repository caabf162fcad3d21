package xsd

import (
	"encoding/xml"
	"regexp"
)

// The lexical forms that a date, a name or binary data has. Years, months and days are not held against the calendar.
const (
	zone = `(Z|[+-]\d{2}:\d{2})?`
	date = `-?\d{4,}-\d{2}-\d{2}`
	hour = `\d{2}:\d{2}:\d{2}(\.\d+)?`
)

var (
	dateTimeForm = regexp.MustCompile(`^` + date + `T` + hour + zone + `$`)
	dateForm     = regexp.MustCompile(`^` + date + zone + `$`)
	timeForm     = regexp.MustCompile(`^` + hour + zone + `$`)
	durationForm = regexp.MustCompile(`^-?P(\d+Y)?(\d+M)?(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$`)
	yearForm     = regexp.MustCompile(`^-?\d{4,}` + zone + `$`)
	monthForm    = regexp.MustCompile(`^-?\d{4,}-\d{2}` + zone + `$`)
	hexForm      = regexp.MustCompile(`^([0-9A-Fa-f]{2})*$`)
	nameForm     = regexp.MustCompile(`^[\pL_:][\pL\pN\pM._:·-]*$`)
	ncNameForm   = regexp.MustCompile(`^[\pL_][\pL\pN\pM._·-]*$`)
	tokenForm    = regexp.MustCompile(`^[\pL\pN\pM._:·-]+$`)
)

// builtins are the types of XML Schema itself, and those of SOAP's encoding by the same names.
var builtins = map[string]*Simple{
	"string":             text("string", false, nil),
	"normalizedString":   text("normalizedString", false, nil),
	"token":              text("token", true, nil),
	"language":           text("language", true, nil),
	"Name":               text("Name", true, nameForm.MatchString),
	"NCName":             text("NCName", true, ncNameForm.MatchString),
	"ID":                 text("ID", true, ncNameForm.MatchString),
	"IDREF":              text("IDREF", true, ncNameForm.MatchString),
	"ENTITY":             text("ENTITY", true, ncNameForm.MatchString),
	"NMTOKEN":            text("NMTOKEN", true, tokenForm.MatchString),
	"QName":              text("QName", true, nameForm.MatchString),
	"NOTATION":           text("NOTATION", true, nameForm.MatchString),
	"anyURI":             text("anyURI", true, nil),
	"base64Binary":       text("base64Binary", true, isBase64),
	"base64":             text("base64Binary", true, isBase64),
	"hexBinary":          text("hexBinary", true, hexForm.MatchString),
	"dateTime":           text("dateTime", true, dateTimeForm.MatchString),
	"timeInstant":        text("dateTime", true, dateTimeForm.MatchString),
	"dateTimeStamp":      text("dateTimeStamp", true, dateTimeForm.MatchString),
	"date":               text("date", true, dateForm.MatchString),
	"time":               text("time", true, timeForm.MatchString),
	"duration":           text("duration", true, durationForm.MatchString),
	"yearMonthDuration":  text("duration", true, durationForm.MatchString),
	"dayTimeDuration":    text("duration", true, durationForm.MatchString),
	"gYear":              text("gYear", true, yearForm.MatchString),
	"gYearMonth":         text("gYearMonth", true, monthForm.MatchString),
	"gMonth":             text("gMonth", true, nil),
	"gMonthDay":          text("gMonthDay", true, nil),
	"gDay":               text("gDay", true, nil),
	"anySimpleType":      {Kind: Any, Builtin: "anySimpleType", Length: -1, MinLen: -1, MaxLen: -1, Digits: -1, Fraction: -1},
	"anyAtomicType":      {Kind: Any, Builtin: "anySimpleType", Length: -1, MinLen: -1, MaxLen: -1, Digits: -1, Fraction: -1},
	"boolean":            number(Boolean, "boolean", "", ""),
	"decimal":            number(Decimal, "decimal", "", ""),
	"float":              number(Float, "float", "", ""),
	"double":             number(Float, "double", "", ""),
	"integer":            number(Integer, "integer", "", ""),
	"nonPositiveInteger": number(Integer, "nonPositiveInteger", "", "0"),
	"negativeInteger":    number(Integer, "negativeInteger", "", "-1"),
	"nonNegativeInteger": number(Integer, "nonNegativeInteger", "0", ""),
	"positiveInteger":    number(Integer, "positiveInteger", "1", ""),
	"long":               number(Integer, "long", "-9223372036854775808", "9223372036854775807"),
	"int":                number(Integer, "int", "-2147483648", "2147483647"),
	"short":              number(Integer, "short", "-32768", "32767"),
	"byte":               number(Integer, "byte", "-128", "127"),
	"unsignedLong":       number(Integer, "unsignedLong", "0", "18446744073709551615"),
	"unsignedInt":        number(Integer, "unsignedInt", "0", "4294967295"),
	"unsignedShort":      number(Integer, "unsignedShort", "0", "65535"),
	"unsignedByte":       number(Integer, "unsignedByte", "0", "255"),
	"NMTOKENS":           list("NMTOKENS"),
	"IDREFS":             list("IDREFS"),
	"ENTITIES":           list("ENTITIES"),
}

func text(name string, collapse bool, form func(string) bool) *Simple {
	s := plainSimple(Text, name)
	s.collapse, s.lexical = collapse, form
	return s
}

func number(kind Kind, name, least, most string) *Simple {
	s := plainSimple(kind, name)
	s.collapse, s.Least, s.Most = true, least, most
	return s
}

func list(name string) *Simple {
	s := plainSimple(List, name)
	s.collapse, s.Item = true, text("NMTOKEN", true, tokenForm.MatchString)
	return s
}

func plainSimple(kind Kind, name string) *Simple {
	return &Simple{
		Kind: kind, Name: xml.Name{Space: Namespace, Local: name}, Builtin: name,
		Length: -1, MinLen: -1, MaxLen: -1, Digits: -1, Fraction: -1,
	}
}

// builtin finds a type of XML Schema or of SOAP's encoding.
func builtin(name xml.Name) *Simple {
	if isSchema(name.Space) || name.Space == NamespaceEncoding || name.Space == NamespaceEncoding2 {
		return builtins[name.Local]
	}
	return nil
}

// Builtin is the type of XML Schema by its local name, nil if there is none.
func Builtin(local string) *Simple { return builtins[local] }

// AnyType is the type of everything: whatever stands in XML, and whatever JSON can say about it.
var AnyType = &Type{
	Name: xml.Name{Space: Namespace, Local: "anyType"}, Mixed: true, Any: true, AnyAttr: true, AnyType: true,
}

// isBase64 allows the line breaks that mail once put there, and no other alphabet.
func isBase64(text string) bool {
	digits, padding := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c <= ' ':
		case c == '=':
			padding++
		case padding > 0 || !isBase64Digit(c):
			return false
		default:
			digits++
		}
	}
	return padding <= 2 && (digits+padding)%4 == 0
}

func isBase64Digit(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/'
}

// BuiltinName is the type of XML Schema or of SOAP's encoding by its full name, nil if there is none.
func BuiltinName(name xml.Name) *Simple { return builtin(name) }
