package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
)

// runRules checks jurisdiction packs in the company of those of the binary and names
// all that is wrong with file, line and rule.
func runRules(_ context.Context, e environment, args []string) error {
	files, err := parse(e, flags("rules"), args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		fmt.Fprintln(e.err, "usage: consilium rules FILE...")
		return errUsage
	}
	packs := map[string][]byte{}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			return fmt.Errorf("read pack: %w", err)
		}
		packs[name] = data
	}
	found := credentialing.Lint(credentialing.Embedded(), packs, scheduling.LoadZone)
	for _, f := range found {
		fmt.Fprintln(e.out, f.Error())
	}
	fmt.Fprintf(e.out, "%d packs, %d findings\n", len(packs), len(found))
	if len(found) > 0 {
		return errFailed
	}
	return nil
}
