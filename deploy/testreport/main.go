// Command testreport reads the output of `go test -json`, prints what failed with
// its output and the packages that passed, and closes with "N passed, N failed".
// Tests are the leaves: a test with subtests counts as its subtests.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of test2json (see `go doc test2json`).
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string
	Elapsed                       float64
}

func main() {
	passed, failed := report(os.Stdin, os.Stdout)
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}

type key struct{ pkg, test string }

func report(r io.Reader, w io.Writer) (passed, failed int) {
	output := map[key]*strings.Builder{}
	parents := map[key]bool{}
	results := map[key]string{}
	var order []key
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(w, lines.Text()) // the go command itself speaks
			continue
		}
		if e.Package == "" {
			e.Package = e.ImportPath
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "output", "build-output":
			if output[k] == nil {
				output[k] = &strings.Builder{}
			}
			output[k].WriteString(e.Output)
		case "pass", "fail", "skip":
			if i := strings.LastIndexByte(e.Test, '/'); i >= 0 {
				parents[key{e.Package, e.Test[:i]}] = true
			}
			results[k] = e.Action
			order = append(order, k)
			if e.Test == "" && e.Action == "pass" {
				fmt.Fprintf(w, "ok    %s %.1fs\n", e.Package, e.Elapsed)
			}
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(w, err)
		failed++
	}
	inPackage := map[string]int{}
	for _, k := range order {
		if k.test == "" || parents[k] && results[k] == "pass" {
			continue
		}
		switch results[k] {
		case "pass":
			passed++
		case "fail":
			inPackage[k.pkg]++
			if !parents[k] || !childFailed(results, k) {
				failed++
			}
			fmt.Fprintf(w, "FAIL  %s %s\n%s", k.pkg, k.test, text(output[k]))
		}
	}
	for _, k := range order { // a package may fail without any test failing
		if k.test == "" && results[k] == "fail" && inPackage[k.pkg] == 0 {
			failed++
			fmt.Fprintf(w, "FAIL  %s\n%s", k.pkg, text(output[k]))
			for o, b := range output { // what did not compile speaks under its own name
				if o.test == "" && o.pkg != k.pkg && strings.HasPrefix(o.pkg, k.pkg+" ") {
					fmt.Fprint(w, text(b))
				}
			}
			unfinished := running(output, results, k.pkg)
			for _, u := range unfinished {
				fmt.Fprintf(w, "      had not ended: %s\n%s", u.test, text(output[u]))
			}
		}
	}
	return passed, failed
}

// childFailed tells whether a subtest of k failed, which then counts instead of k.
func childFailed(results map[key]string, k key) bool {
	for o, r := range results {
		if r == "fail" && o.pkg == k.pkg && strings.HasPrefix(o.test, k.test+"/") {
			return true
		}
	}
	return false
}

// running lists the tests of a package that have output but no result: a panic or
// the time limit ended them.
func running(output map[key]*strings.Builder, results map[key]string, pkg string) []key {
	var keys []key
	for k := range output {
		if _, ended := results[k]; k.pkg == pkg && k.test != "" && !ended {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return strings.Compare(a.test, b.test) })
	return keys
}

func text(b *strings.Builder) string {
	if b == nil {
		return ""
	}
	return b.String()
}
