package transcode

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-gateway/sluice/backend/translate/grpc"
	"github.com/sluice-gateway/sluice/backend/translate/jsonwire"
)

// appendStatus writes a google.rpc.Status: code, message and details, of which those whose type is not known stand as
// base64.
func appendStatus(to []byte, codecs *jsonwire.Codecs, s grpc.Status) []byte {
	to = strconv.AppendUint(append(to, `{"code":`...), uint64(s.Code), 10)
	to = append(append(to, `,"message":`...), quote(s.Message)...)
	to = append(to, `,"details":[`...)
	start := len(to)
	for _, detail := range detailsOf(s.Details) {
		if len(to) > start {
			to = append(to, ',')
		}
		to = appendDetail(to, codecs, detail)
	}
	return append(to, "]}"...)
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // a string can always be told
		return []byte(`""`)
	}
	return b
}

// Fields of google.rpc.Status and google.protobuf.Any.
const (
	statusDetails    = 3
	anyURL, anyValue = 1, 2
)

// maxDetails is how many details of a status are told.
const maxDetails = 100

// detailsOf are the Anys of a status in wire form; what cannot be read is left out.
func detailsOf(status []byte) (details [][]byte) {
	for len(status) > 0 && len(details) < maxDetails {
		n, kind, size := protowire.ConsumeField(status)
		if size < 0 {
			return details
		}
		if n == statusDetails && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(status)
			detail, _ := protowire.ConsumeBytes(status[tag:])
			details = append(details, detail)
		}
		status = status[size:]
	}
	return details
}

func appendDetail(to []byte, codecs *jsonwire.Codecs, detail []byte) []byte {
	known, err := codecs.For((*anypb.Any)(nil).ProtoReflect().Descriptor()).AppendJSON(to, detail)
	if err == nil {
		return known
	}
	var url, value []byte
	for len(detail) > 0 {
		n, kind, size := protowire.ConsumeField(detail)
		if size < 0 {
			break
		}
		if kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(detail)
			part, _ := protowire.ConsumeBytes(detail[tag:])
			switch n {
			case anyURL:
				url = part
			case anyValue:
				value = part
			}
		}
		detail = detail[size:]
	}
	to = append(append(to, `{"@type":`...), quote(string(url))...)
	to = append(to, `,"value":"`...)
	to = base64.StdEncoding.AppendEncode(to, value)
	return append(to, `"}`...)
}

// newBytesBody is a body of bytes that nobody changes.
func newBytesBody(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
