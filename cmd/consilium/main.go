// Command consilium is the whole service: pages, media engine, jobs and the tools
// around them, in one binary. `consilium --help` lists the commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// command is one word after `consilium`.
type command struct {
	name, args, says string
	run              func(ctx context.Context, e environment, args []string) error
}

// environment is what a command may know of the process it runs in.
type environment struct {
	getenv func(string) string
	in     io.Reader
	out    io.Writer
	err    io.Writer
}

func commands() []command {
	return []command{
		{"demo", "[--addr HOST:PORT] [--data DIR] [--reset] [--cast FILE] [--clock INSTANT]", "starts everything on this machine with a standing cast of people, or with those of a file, now or at another time", runDemo},
		{"serve", "", "starts the service, configured by the environment", runServe},
		{"user", "add|invite --email ADDRESS [--name NAME --role ROLE --organization NAME --zone ZONE ...]", "adds a person beside a running service, prints the link for the first passkey", runUser},
		{"evidence", "check | move | erase SHA256 --reason TEXT", "beside a running service: reads all evidence files through and names what is missing or altered; moves those still in the database into the file store; erases one whose time is over", runEvidence},
		{"pack", "add FILE... [--from INSTANT] [--until INSTANT]", "beside a running service: checks packs of rules and puts them in force without a restart, where no confirmed ones stand; officers find them in their queue to confirm", runPack},
		{"replay", "[--since DURATION] [--sample N] | acknowledge ID --reason TEXT", "beside a running service: evaluates past answers again and shows each that comes out otherwise, old and new answer and hash; notes why one does, until when no pack is published", runReplay},
		{"migrate", "", "brings the database named by CONSILIUM_MIGRATE_URL to the schema of this binary", runMigrate},
		{"mail-in", "", "reads one message from standard input, as a mail server hands it over, and keeps the answer of a calendar in it for the running service", runMailIn},
		{"check", "", "prints the configuration, secrets masked, and says what is wrong with it", runCheck},
		{"media", "--addr HOST:PORT [--udp-port N] --key KEY --secret SECRET", "starts the media engine alone, without database", runMedia},
		{"rules", "FILE...", "checks jurisdiction packs and names what is wrong with file, line and rule", runRules},
		{"vectors", "FILE...", "runs vector files and names each failing case", runVectors},
		{"bench", "credentialing [--bookings N] | scheduling [--practitioners N] [--appointments N] [--bookings N] | media [--against ws://HOST:PORT --key KEY --secret SECRET]", "measures on this machine: the rules, or the search and booking, with a private database, failing beyond twice a target; or the media engine, beside another server of its protocol", runBench},
		{"verify", "BUNDLE [--trust FILE] [--checkpoint FILE]", "verifies an evidence bundle without network or account", runVerify},
	}
}

// errUsage ends the process with status 2; the text has been printed.
var errUsage = errors.New("usage")

// exit ends the process with a status of its own after the sentence of err.
type exit struct {
	status int
	err    error
}

func (e *exit) Error() string { return e.err.Error() }
func (e *exit) Unwrap() error { return e.err }

// errFailed ends the process with status 1; the text has been printed.
var errFailed = errors.New("failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, environment{os.Getenv, os.Stdin, os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		os.Exit(2)
	case errors.Is(err, errFailed):
		os.Exit(1)
	default:
		status := 1
		var e *exit
		if errors.As(err, &e) {
			status = e.status
		}
		fmt.Fprintln(os.Stderr, "consilium:", strings.ReplaceAll(err.Error(), "\n", "\nconsilium: "))
		os.Exit(status)
	}
}

func run(ctx context.Context, e environment, args []string) error {
	if len(args) == 0 {
		help(e.err)
		return errUsage
	}
	switch args[0] {
	case "help", "-h", "--help":
		help(e.out)
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, e, args[1:])
		}
	}
	fmt.Fprintf(e.err, "consilium: there is no command %q; consilium --help lists them\n", args[0])
	return errUsage
}

func help(w io.Writer) {
	fmt.Fprint(w, `Consilium: telehealth and cross-border specialist collaboration.

Commands:
`)
	for _, c := range commands() {
		fmt.Fprintf(w, "  consilium %s\n", strings.TrimSpace(c.name+" "+c.args))
		fmt.Fprintf(w, "      %s\n", c.says)
	}
	fmt.Fprint(w, `
Settings are read from the environment; a value may also stand in the file named
by NAME_FILE:
`)
	for _, s := range settings() {
		fmt.Fprintf(w, "  %-28s %s\n", s.name, s.help)
	}
	fmt.Fprint(w, `
Try it:  consilium demo   and open the address it prints.
`)
}

// parse reads the flags of a command wherever they stand and returns the other
// arguments.
func parse(e environment, f *flag.FlagSet, args []string) ([]string, error) {
	f.SetOutput(e.err)
	f.Usage = func() {
		for _, c := range commands() {
			if c.name == f.Name() {
				fmt.Fprintf(e.err, "usage: consilium %s\n", strings.TrimSpace(c.name+" "+c.args))
			}
		}
		f.PrintDefaults()
	}
	var rest []string
	for {
		if err := f.Parse(args); err != nil {
			return nil, errUsage
		}
		if f.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
}

func flags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ContinueOnError) }
