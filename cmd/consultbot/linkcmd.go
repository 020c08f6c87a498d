package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/consilium-health/consilium/cmd/consultbot/link"
)

// runLink passes TCP connections over a poor link until the context or the input ends.
// Each line of the input changes the link: a shape, or "cut".
func runLink(ctx context.Context, in io.Reader, out, problems io.Writer, args []string) error {
	f := flag.NewFlagSet("consultbot link", flag.ContinueOnError)
	f.SetOutput(problems)
	at := f.String("listen", "127.0.0.1:0", "address to listen on, TCP")
	to := f.String("to", "", "address to pass connections on to, HOST:PORT")
	shape := f.String("shape", "", `what the link is like, "kbits=150 delay=60ms loss=0.1"; a perfect one if empty`)
	if err := f.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if f.NArg() > 0 || *to == "" {
		f.Usage()
		return flag.ErrHelp
	}
	first, err := link.Parse(*shape)
	if err != nil {
		return err
	}
	l, err := link.Listen(*at, *to)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	l.Become(first)
	fmt.Fprintf(out, "listening %s\n", l.Addr())
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case lines <- strings.TrimSpace(s.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, more := <-lines:
			if !more {
				return nil
			}
			if line == "cut" {
				fmt.Fprintf(out, "cut %d of %d\n", l.Cut(), l.Made())
				continue
			}
			next, err := link.Parse(line)
			if err != nil {
				fmt.Fprintln(out, err)
				continue
			}
			l.Become(next)
			fmt.Fprintf(out, "shape %s\n", line)
		}
	}
}
