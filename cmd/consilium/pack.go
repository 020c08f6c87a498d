package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
)

// runPack brings pack files into a running service. What it takes decides at once where
// no confirmed rules stand, and waits in the officers' queue to be confirmed.
func runPack(ctx context.Context, e environment, args []string) error {
	f := flags("pack")
	first := f.String("from", "", "instant from which on the rules decide, such as 2027-01-01T00:00:00Z; now when not given")
	last := f.String("until", "", "instant from which on they no longer decide; no end when not given")
	rest, err := parse(e, f, args)
	if err != nil {
		return err
	}
	if len(rest) < 2 || rest[0] != "add" {
		f.Usage()
		return errUsage
	}
	from, err := instant("--from", *first)
	if err != nil {
		return err
	}
	until, err := instant("--until", *last)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, name := range rest[1:] {
		if files[name], err = readPack(name); err != nil {
			return err
		}
	}
	c, err := load(false, e.getenv)
	if err != nil {
		return err
	}
	db, done, err := openRunning(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	s, err := credentialing.New(credentialing.Config{DB: db, Zones: scheduling.LoadZone})
	if err != nil {
		return err
	}
	refused := false
	for _, name := range rest[1:] {
		a, found, err := s.AddEdition(ctx, operator, name, files[name], from, until)
		if err != nil {
			err = packRefused(name, err)
			fmt.Fprintln(e.out, err)
			refused = true
			continue
		}
		for _, one := range found {
			fmt.Fprintln(e.out, one.Error())
		}
		if len(found) > 0 {
			fmt.Fprintf(e.out, "%s: refused, nothing was changed\n", name)
			refused = true
			continue
		}
		sayAdded(e.out, c.Origin, name, from, a)
	}
	if refused {
		return errFailed
	}
	return nil
}

// instant reads an instant of a flag; "" is none.
func instant(flag, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return at, fmt.Errorf("pack: %s: %q is not an instant such as 2027-01-01T00:00:00Z", flag, value)
	}
	return at.UTC(), nil
}

// readPack reads no more of a file than a pack has.
func readPack(name string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, credentialing.MaxPack+1))
	if err != nil {
		return nil, fmt.Errorf("pack: read %s: %w", name, err)
	}
	return data, nil
}

// packRefused says why a file was not taken.
func packRefused(name string, err error) error {
	var bad *credentialing.Invalid
	switch {
	case errors.As(err, &bad) && bad.Field == "until":
		return fmt.Errorf("%s: --until must lie after --from, in a year from 1900 to 2200", name)
	case errors.As(err, &bad) && bad.Field == "from":
		return fmt.Errorf("%s: --from must lie in a year from 1900 to 2200", name)
	case errors.Is(err, credentialing.ErrEvidenceType):
		return fmt.Errorf("%s: a pack is a text file of at most %d bytes, and not empty", name, credentialing.MaxPack)
	case errors.Is(err, credentialing.ErrEncoding):
		return fmt.Errorf("%s: a pack is written in UTF-8; this file has bytes that are not", name)
	case errors.Is(err, credentialing.ErrEditionImmutable):
		return fmt.Errorf("%s: this version is on file with other content; an edition never changes: give the new one a new version", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func sayAdded(out io.Writer, origin, name string, from time.Time, a credentialing.Added) {
	fmt.Fprintf(out, "%s: %s %s, SHA-256 %s\n", name, a.Edition.Code, a.Edition.Version, a.Edition.SHA256)
	page := origin + "/credentials/packs/" + string(a.Draft)
	switch a.Standing {
	case credentialing.AddedKnown:
		fmt.Fprintln(out, "  on file already with the same content; nothing was changed")
	case credentialing.AddedDraft:
		fmt.Fprintf(out, "  kept as a draft: confirmed rules are put in force by officers, who see there what it changes: %s\n", page)
	case credentialing.AddedInForce:
		if from.IsZero() {
			fmt.Fprintln(out, "  in force; a running service takes it without a restart and looks again at what rests on it")
		} else {
			fmt.Fprintf(out, "  decides from %s on; a running service takes it without a restart\n", from.Format(time.RFC3339))
		}
		if a.Replaces != (credentialing.Edition{}) {
			fmt.Fprintf(out, "  stands in the place of %s %s\n", a.Replaces.Code, a.Replaces.Version)
		}
		fmt.Fprintf(out, "  nobody has confirmed it: it waits in the officers' queue: %s/credentials/packs/in-force/%s\n", origin, a.Edition.Code)
	}
	fmt.Fprintf(out, "  bookings to come that rest on %s: %d, open cases: %d\n", a.Edition.Code, a.Relied.Bookings, a.Relied.Cases)
}
