package demo

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// CallGRPC greets name through the gateway at address, once and then in a stream, and prints what comes back.
func CallGRPC(ctx context.Context, to io.Writer, address, name string) error {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	in, out := wrapperspb.String(name), new(greeting)
	if err := conn.Invoke(ctx, sayHello, in, out); err != nil {
		return explainGRPC(err, address)
	}
	fmt.Fprintf(to, "unary   %s\n", out.GetValue())
	return streamGreetings(ctx, to, conn, in, address)
}

func streamGreetings(ctx context.Context, to io.Writer, conn *grpc.ClientConn, in *greeting, address string) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, sayHelloOften)
	if err != nil {
		return explainGRPC(err, address)
	}
	if err := errors.Join(stream.SendMsg(in), stream.CloseSend()); err != nil {
		return explainGRPC(err, address)
	}
	for {
		out := new(greeting)
		err := stream.RecvMsg(out)
		if errors.Is(err, io.EOF) {
			fmt.Fprintln(to, "stream  ended with status OK")
			return nil
		}
		if err != nil {
			return explainGRPC(err, address)
		}
		fmt.Fprintf(to, "stream  %s\n", out.GetValue())
	}
}

func explainGRPC(err error, address string) error {
	if status.Code(err) == codes.Unavailable {
		return fmt.Errorf("no answer through %s; is the demo running there? Name another address with --address: %w", address, err)
	}
	return err
}

// CallWebSocket sends text over a WebSocket through the gateway at address and prints its echo.
func CallWebSocket(ctx context.Context, to io.Writer, address, text string) error {
	url := "ws://" + address + "/ws"
	c, response, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return fmt.Errorf("no WebSocket at %s; is the demo running there? Name another address with --address: %w", url, err)
	}
	defer c.CloseNow()
	c.SetReadLimit(maxMessage)
	fmt.Fprintf(to, "status  %s\n", response.Status)
	if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return err
	}
	_, message, err := c.Read(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(to, "echo    %s\n", message)
	return c.Close(websocket.StatusNormalClosure, "")
}
