package web

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
)

// TestEverySearchCodeHasASentence reads the sources of the rooms that give codes: one
// that is given and has no sentence would tell a person nothing.
func TestEverySearchCodeHasASentence(t *testing.T) {
	c := openClinic(t)
	codes, limits := map[string]bool{}, map[string]bool{}
	for _, room := range []string{"../scheduling", "../credentialing"} {
		files, err := filepath.Glob(room + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`"(interpreter:[a-z-]+)"`).FindAllSubmatch(text, -1) {
				codes[string(m[1])] = true
			}
			for _, m := range regexp.MustCompile(`Limit\w+\s+LimitKind = "(\w+)"`).FindAllSubmatch(text, -1) {
				limits[string(m[1])] = true
			}
		}
	}
	for _, id := range c.cred.Rules().MessageIDs() { // those of a certificate are put together
		if what, ok := strings.CutPrefix(id, "scope.interpreter."); ok {
			codes["interpreter:"+strings.ReplaceAll(what, "_", "-")] = true
		}
	}
	if len(codes) < 12 || len(limits) < 8 {
		t.Fatalf("only %d codes and %d limits found in the sources", len(codes), len(limits))
	}
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	server := &Server{d: Deps{Credentialing: c.cred}}
	for _, language := range i18n.Languages {
		tag := language.Tag
		l := b.Localizer(tag, "UTC")
		seen := map[string]string{}
		for code := range codes {
			text := server.sentence(l, code)
			if text == "" || strings.Contains(text, code) || seen[text] != "" {
				t.Errorf("%s: %s says %q (as does %q)", tag, code, text, seen[text])
			}
			seen[text] = code
		}
		for limit := range limits {
			row, err := server.why(t.Context(), l, scheduling.Reason{Limit: scheduling.LimitKind(limit), Name: "Somebody"}, [2]string{"ar", "en"})
			if err != nil || !l.Has(row.ID) {
				t.Errorf("%s: limit %s says %q, %v", tag, limit, row.ID, err)
			}
		}
	}
}
