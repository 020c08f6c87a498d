package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/consilium-health/consilium/sessions/workspace"
)

// runVerify answers, without network or account, whether an evidence bundle holds:
// who advised, who decided, that the signer was licensed there at that instant, and
// what consent covered it.
func runVerify(_ context.Context, e environment, args []string) error {
	f := flags("verify")
	trustFile := f.String("trust", "", "trust file of the service, from /.well-known/consilium-trust.json")
	checkpointFile := f.String("checkpoint", "", "checkpoint of the log that you kept")
	rest, err := parse(e, f, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		fmt.Fprintln(e.err, "usage: consilium verify BUNDLE [--trust FILE] [--checkpoint FILE]")
		return errUsage
	}
	var trust *workspace.TrustFile
	if *trustFile != "" {
		raw, err := os.ReadFile(*trustFile)
		if err != nil {
			return err
		}
		if trust, err = workspace.ReadTrustFile(raw); err != nil {
			return fmt.Errorf("trust file: %w", err)
		}
	}
	var checkpoint []byte
	if *checkpointFile != "" {
		if checkpoint, err = os.ReadFile(*checkpointFile); err != nil {
			return err
		}
	}
	bundle, err := os.Open(rest[0])
	if err != nil {
		return err
	}
	defer bundle.Close()
	info, err := bundle.Stat()
	if err != nil {
		return err
	}
	report, err := workspace.VerifyBundle(bundle, info.Size(), trust, checkpoint)
	if err != nil {
		fmt.Fprintf(e.out, "invalid: %v\n", err)
		return errFailed
	}
	tell(e.out, report)
	if report.Verdict == workspace.Invalid {
		return errFailed
	}
	return nil
}

// tell writes the report for a person.
func tell(w io.Writer, r workspace.Report) {
	fmt.Fprintln(w, r.Verdict)
	for _, p := range r.Failed() {
		fmt.Fprintf(w, "  FAILED  %s: %s\n", p.Name, p.Why)
	}
	if r.Number != "" {
		fmt.Fprintf(w, "  case      %s\n", r.Number)
	}
	for _, s := range r.Advised {
		tellSigned(w, "advised", s)
	}
	if r.Decided != nil {
		tellSigned(w, "decided", *r.Decided)
	}
	held := 0
	for _, p := range r.Parts {
		if p.OK {
			held++
		}
	}
	fmt.Fprintf(w, "  checked   %d parts, %d hold\n", len(r.Parts), held)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  note      %s\n", n)
	}
}

func tellSigned(w io.Writer, what string, s workspace.Signed) {
	fmt.Fprintf(w, "  %-9s %s, license %s (%s), at %s\n", what, s.Name, s.License, s.Jurisdiction, s.At.UTC().Format("2006-01-02 15:04:05 MST"))
	if s.Outcome != "" {
		fmt.Fprintf(w, "            outcome: %s\n", s.Outcome)
	}
	for _, reason := range s.Reasons {
		fmt.Fprintf(w, "            because: %s\n", reason)
	}
	for _, c := range s.Consents {
		fmt.Fprintf(w, "            consent: %s\n", c)
	}
	if s.KeyKind == "demonstration" {
		fmt.Fprintln(w, "            signed with a demonstration key")
	}
}
