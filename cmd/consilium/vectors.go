package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
)

// vector is the outcome of one case of a vector file.
type vector struct {
	id, got, want string
	passed        bool
}

// formats are the vector files this binary understands.
var formats = map[string]func(io.Reader) ([]vector, error){
	"scheduling-vectors/1": func(r io.Reader) ([]vector, error) {
		results, err := scheduling.RunVectors(r)
		var out []vector
		for _, v := range results {
			out = append(out, vector{v.ID, v.Got, v.Expected, v.Pass})
		}
		return out, err
	},
	"credentialing-vectors/1": func(r io.Reader) ([]vector, error) {
		results, err := credentialing.RunVectors(r, scheduling.LoadZone)
		var out []vector
		for _, v := range results {
			out = append(out, vector{v.ID, v.Got, v.Expected, v.Pass})
		}
		return out, err
	},
}

// runVectors runs the cases of each file, names the failing ones with what was got
// and expected, and closes with the counts.
func runVectors(_ context.Context, e environment, args []string) error {
	files, err := parse(e, flags("vectors"), args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		fmt.Fprintln(e.err, "usage: consilium vectors FILE...")
		return errUsage
	}
	passed, failed := 0, 0
	for _, file := range files {
		results, err := vectorsOf(file)
		if err != nil {
			failed++
			fmt.Fprintf(e.out, "FAIL  %s: %v\n", file, err)
		}
		for _, v := range results {
			if v.passed {
				passed++
				continue
			}
			failed++
			fmt.Fprintf(e.out, "FAIL  %s: %s\n  expected %s\n  got      %s\n", file, v.id, v.want, v.got)
		}
	}
	fmt.Fprintf(e.out, "%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return errFailed
	}
	return nil
}

func vectorsOf(file string) ([]vector, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var head struct {
		Format string `json:"format"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	runner, ok := formats[head.Format]
	if !ok {
		return nil, fmt.Errorf("unknown format %q", head.Format)
	}
	return runner(bytes.NewReader(raw))
}
