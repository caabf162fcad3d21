// Command sluice is the gateway: one binary with everything in it.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes: 0 for success, 1 for anything wrong with the file or the run, 2 for a command line that makes no sense.
const (
	exitFailed = 1
	exitUsage  = 2
)

type commands struct {
	Run     runCommand     `cmd:"" help:"Run the gateway. Reloads when the file changes or on SIGHUP; SIGTERM drains."`
	Demo    demoCommand    `cmd:"" help:"Start sample microservices and a gateway in front of them, and print what to try."`
	Check   checkCommand   `cmd:"" help:"Report every mistake in a configuration, with its position."`
	Explain explainCommand `cmd:"" help:"Say which route would take a request, through which filters, and why the nearest others would not."`
	Schema  schemaCommand  `cmd:"" help:"Print the JSON Schema of the configuration, for editors."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// console is where a command speaks: results to Out, everything else to Err.
type console struct{ Out, Err io.Writer }

func main() {
	// A reader of our output that goes away must not take the gateway with it: writing fails, and is counted.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(os.Args[1:], console{os.Stdout, os.Stderr}))
}

func run(args []string, to console) (code int) {
	var c commands
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("sluice"),
		kong.Description("An API gateway: one binary between clients and microservices."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(to.Out, to.Err),
		kong.Exit(func(code int) { exit = code }),
		kong.Bind(to),
	)
	if err != nil {
		fmt.Fprintln(to.Err, "sluice:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exit >= 0 {
		return exit // --help has been printed
	}
	if err != nil {
		fmt.Fprintf(to.Err, "sluice: %v\nTry `sluice --help`.\n", err)
		return exitUsage
	}
	return code0(command.Run(), to)
}

// code0 turns a command's outcome into an exit code, and says what went wrong unless that has been said.
func code0(err error, to console) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errSaid):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(to.Err, "sluice: %s\n", usage)
		return exitUsage
	default:
		fmt.Fprintf(to.Err, "sluice: %v\n", err)
		return exitFailed
	}
}

// errSaid fails a command whose mistakes have been shown already.
var errSaid = errors.New("said")

// usageError is a command line that parses and still makes no sense.
type usageError string

func (e usageError) Error() string { return string(e) }
