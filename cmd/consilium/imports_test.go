package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/consilium-health/consilium"

// rooms are the layers of the house from the top down. A package belongs to the
// longest prefix that fits, and may import its own room and what `may` lists.
var may = map[string][]string{
	"cmd":                    {"deploy", "web", "sessions", "sessions/workspace", "scheduling", "credentialing", "credentialing/identity", "credentialing/audit", "sfu", "sfu/embedded", "sfu/livekit"},
	"web":                    {"sessions", "sessions/workspace", "scheduling", "credentialing", "credentialing/identity", "credentialing/audit"},
	"sessions":               {"sessions/workspace", "scheduling", "credentialing", "credentialing/identity", "credentialing/audit"},
	"sessions/workspace":     {"scheduling", "credentialing", "credentialing/identity", "credentialing/audit"},
	"scheduling":             {"credentialing", "credentialing/identity", "credentialing/audit"},
	"credentialing":          {"credentialing/identity", "credentialing/audit"},
	"credentialing/identity": {"credentialing/audit"},
	"credentialing/audit":    {},
	"sfu":                    {"sfu/seqmap"},
	"sfu/seqmap":             {},
	"sfu/embedded":           {"sfu", "sessions"},
	"sfu/livekit":            {"sessions", "sfu/seqmap"},
	"sfu/mediatest":          {"sessions"},
	"deploy":                 {},
}

// strangers are packages outside the module that a room must not know.
var strangers = map[string][]string{
	"sessions":      {"net/http", "github.com/pion/"},
	"scheduling":    {"net/http", "github.com/pion/"},
	"credentialing": {"net/http", "github.com/pion/"},
}

func room(pkg string) string {
	rel := strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/")
	best := ""
	for r := range may {
		if (rel == r || strings.HasPrefix(rel, r+"/")) && len(r) > len(best) {
			best = r
		}
	}
	return best
}

func TestImportsGoOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	checked := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from := room(p.ImportPath)
		if from == "" {
			t.Errorf("%s belongs to no room", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			checked++
			if !strings.HasPrefix(imported, module) {
				for _, s := range strangers[strings.SplitN(from, "/", 2)[0]] {
					if imported == strings.TrimSuffix(s, "/") || strings.HasSuffix(s, "/") && strings.HasPrefix(imported, s) {
						t.Errorf("%s imports %s", p.ImportPath, imported)
					}
				}
				continue
			}
			if to := room(imported); to != from && !contains(may[from], to) {
				t.Errorf("%s imports %s: %s may not know %s", p.ImportPath, imported, from, to)
			}
		}
	}
	if checked == 0 {
		t.Fatal("go list named no import")
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
