package connect_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/gatewaytest"
)

// The suite of connectrpc.com/conformance asks for a server by a message on its standard input and reads the address from
// its standard output. This test binary is that server: it starts one of the suite's own and a gateway before it.
const (
	wayVariable    = "SLUICE_CONFORMANCE_WAY"    // passed: in its own protocol; translated: to gRPC. Set only for the server
	serverVariable = "SLUICE_CONFORMANCE_SERVER" // the program behind the gateway
	protosVariable = "SLUICE_CONFORMANCE_PROTOS" // the folder of the suite's .proto files
)

func TestMain(m *testing.M) {
	if way := os.Getenv(wayVariable); way != "" {
		testing.Init()
		os.Exit(serveConformance(way))
	}
	os.Exit(m.Run())
}

// endTimeout is how long a program may take to end when it is told to.
const endTimeout = 10 * time.Second

// Fields of ServerCompatRequest, ServerCompatResponse and TLSCreds (connectrpc/conformance/v1), and values of its enums.
const (
	requestProtocol, requestVersion, requestTLS, requestClientCA, requestCredentials = 1, 2, 4, 5, 7
	responseHost, responsePort, responseCertificate                                  = 1, 2, 3
	credentialsCertificate, credentialsKey                                           = 1, 2

	protocolGRPC, version2 = 2, 2
)

// serveConformance is the server that the suite runs: it ends when it is told to.
func serveConformance(way string) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := serveSuite(ctx, way); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveSuite(ctx context.Context, way string) error {
	request, err := readMessage(os.Stdin)
	if err != nil {
		return err
	}
	asked := fieldsOf(request)
	service, protocol := asked, "http1"
	switch {
	case way == "translated":
		service = service.with(requestProtocol, protocolGRPC).with(requestVersion, version2)
		protocol = "grpc"
	case asked[requestProtocol].n == protocolGRPC:
		protocol = "grpc"
	case asked[requestVersion].n == version2:
		protocol = "http2"
	}
	service = service.with(requestTLS, 0).with(requestClientCA, 0).with(requestCredentials, 0)
	program := exec.CommandContext(ctx, os.Getenv(serverVariable))
	program.Stderr = os.Stderr
	program.Cancel = func() error { return program.Process.Signal(syscall.SIGTERM) }
	program.WaitDelay = endTimeout
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, _ := program.StdinPipe()
	out, _ := program.StdoutPipe()
	if err := program.Start(); err != nil {
		return err
	}
	defer func() { _ = program.Wait() }()
	if err := writeMessage(in, service.bytes()); err != nil {
		return err
	}
	in.Close()
	answer, err := readMessage(bufio.NewReader(out))
	if err != nil {
		return err
	}
	started := fieldsOf(answer)
	address := net.JoinHostPort(string(started[responseHost].b), strconv.FormatUint(started[responsePort].n, 10))

	t := new(reporter)
	defer t.end()
	gateway, err := gatewaytest.Try(t, conformanceGateway(t, asked, protocol, address, way))
	if err != nil {
		return fmt.Errorf("%w\n%s", err, gateway.Log)
	}
	defer func() {
		if said := gateway.Log.String(); strings.Contains(said, "level=ERROR") {
			fmt.Fprint(os.Stderr, said)
		}
	}()
	_, port, _ := net.SplitHostPort(gateway.Addr("public"))
	n, _ := strconv.ParseUint(port, 10, 16)
	response := fields{responseHost: {b: []byte("127.0.0.1")}, responsePort: {n: n}}
	if asked[requestTLS].n != 0 {
		response[responseCertificate] = value{b: fieldsOf(asked[requestCredentials].b)[credentialsCertificate].b}
	}
	if err := writeMessage(os.Stdout, response.bytes()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func conformanceGateway(t *reporter, asked fields, protocol, address, way string) string {
	listener := `{name: public, address: "127.0.0.1:0"`
	if asked[requestTLS].n != 0 {
		credentials := fieldsOf(asked[requestCredentials].b)
		listener += fmt.Sprintf(", tls: {certificates: [{certFile: %s, keyFile: %s}]",
			t.file("cert.pem", credentials[credentialsCertificate].b), t.file("key.pem", credentials[credentialsKey].b))
		if ca := asked[requestClientCA].b; len(ca) > 0 {
			listener += fmt.Sprintf(", clientAuth: {mode: require, caFile: %s}", t.file("clients.pem", ca))
		}
		listener += "}"
	}
	translate := ""
	if way == "translated" {
		folder := os.Getenv(protosVariable)
		translate = fmt.Sprintf("translate: {grpc: {protos: [%s/connectrpc/conformance/v1/service.proto], importPaths: [%s]}}, ", folder, folder)
	}
	return fmt.Sprintf(`
listeners:
  - %s}
routes:
  - {name: all, match: {path: /*}, %sservice: suite}
services:
  - {name: suite, protocol: %s, endpoints: [{url: "http://%s"}]}
`, listener, translate, protocol, address)
}

// reporter is as much of a test as gatewaytest needs where there is none.
type reporter struct {
	testing.TB
	cleanups []func()
	dir      string
}

func (*reporter) Helper()             {}
func (r *reporter) Cleanup(f func())  { r.cleanups = append(r.cleanups, f) }
func (r *reporter) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (r *reporter) file(name string, content []byte) string {
	if r.dir == "" {
		dir, err := os.MkdirTemp("", "interop")
		if err != nil {
			r.Fatal(err)
		}
		r.dir = dir
		r.Cleanup(func() { os.RemoveAll(dir) })
	}
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		r.Fatal(err)
	}
	return path
}

func (r *reporter) end() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

// fields is a protobuf message taken apart, as far as it is needed here: numbers, and what has a length.
type fields map[protowire.Number]value

type value struct {
	n uint64
	b []byte
}

func fieldsOf(message []byte) fields {
	f := make(fields)
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return f
		}
		message = message[n:]
		var v value
		if kind == protowire.BytesType {
			v.b, n = protowire.ConsumeBytes(message)
		} else {
			v.n, n = protowire.ConsumeVarint(message)
		}
		if n < 0 {
			return f
		}
		f[number], message = v, message[n:]
	}
	return f
}

func (f fields) with(number protowire.Number, n uint64) fields {
	changed := maps.Clone(f)
	changed[number] = value{n: n}
	return changed
}

func (f fields) bytes() (b []byte) {
	for number, v := range f {
		if v.b != nil {
			b = protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), v.b)
		} else if v.n != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v.n)
		}
	}
	return b
}

// Messages go in and out with their length in front.
func readMessage(r io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(r, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, r, int64(length))
	return b.Bytes(), err
}

func writeMessage(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...))
	return err
}
