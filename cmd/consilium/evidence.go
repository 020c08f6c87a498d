package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// runEvidence looks after the files of evidence beside a running service: reads all of
// them through, moves what is still in the database, or erases one whose time is over.
func runEvidence(ctx context.Context, e environment, args []string) error {
	f := flags("evidence")
	reason := f.String("reason", "", "why a file is erased, such as \"kept for 10 years, until 2036\"")
	rest, err := parse(e, f, args)
	if err != nil {
		return err
	}
	erase := len(rest) == 2 && rest[0] == "erase"
	if !erase && (len(rest) != 1 || rest[0] != "check" && rest[0] != "move") {
		f.Usage()
		return errUsage
	}
	var sum [32]byte
	if erase {
		raw, err := hex.DecodeString(rest[1])
		if err != nil || len(raw) != len(sum) {
			return errors.New("evidence: a file is named by its SHA-256, 64 hexadecimal digits, as its page shows it")
		}
		copy(sum[:], raw)
		if *reason == "" {
			return errors.New("evidence: --reason is needed; it stays when the file is gone")
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
	blobs, err := workspace.OpenBlobs(filepath.Join(c.Data, "files"), filepath.Join(c.Data, "keys", "cases"))
	if err != nil {
		return fmt.Errorf("files: %w", err)
	}
	defer blobs.Close()
	vault, err := blobs.Vault()
	if err != nil {
		return fmt.Errorf("files: %w", err)
	}
	s, err := credentialing.New(credentialing.Config{DB: db, Zones: scheduling.LoadZone, Vault: vault})
	if err != nil {
		return err
	}
	switch rest[0] {
	case "move":
		moved, err := s.MoveEvidence(ctx)
		fmt.Fprintf(e.out, "%d files moved from the database into the file store\n", moved)
		return err
	case "erase":
		if err := s.EraseEvidence(ctx, operator, sum, *reason); err != nil {
			if errors.Is(err, credentialing.ErrNotFound) {
				return errors.New("evidence: there is no file of this SHA-256")
			}
			return err
		}
		fmt.Fprintf(e.out, "%x is erased; its hash and what was verified by it stay\n", sum)
		return nil
	}
	found, err := s.CheckEvidence(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%d files, %d bytes read\n", found.Files, found.Bytes)
	for _, d := range found.Damaged {
		of := "a registry file or a confirmation of a rule"
		if d.Credential != "" {
			of = "credential " + string(d.Credential)
		}
		fmt.Fprintf(e.out, "%s  %s  %s\n", d.SHA256, d.Fault, of)
	}
	if len(found.Damaged) > 0 {
		return errFailed
	}
	return nil
}
