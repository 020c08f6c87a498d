package scheduling

import (
	"os"
	"strings"
	"testing"
)

func TestVectorsPassByBothSearches(t *testing.T) {
	f, err := os.Open("testdata/scheduling.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	results, err := RunVectors(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 25 {
		t.Errorf("%d cases, want 25", len(results))
	}
	for _, r := range results {
		if !r.Pass {
			t.Errorf("%s %s\ngot:\n%s\nwant:\n%s", r.ID, r.Title, r.Got, r.Expected)
		}
	}
}

func TestVectorsNameFailingCases(t *testing.T) {
	const file = `{"format":"scheduling-vectors/1","cases":[{"id":"x1","title":"wrong by an hour",
		"request":{"from":"2026-05-04T00:00:00Z","to":"2026-05-05T00:00:00Z","duration_min":60,"grid_min":60,"grid_zone":"UTC","now":"2026-01-01T00:00:00Z"},
		"parties":[{"id":"a","zone":"UTC","rules":[{"freq":"weekly","days":["MO"],"start":"09:00","end":"10:00"}]}],
		"expected":[{"start":"2026-05-04T10:00:00Z"}]}]}`
	results, err := RunVectors(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	r := results[0]
	if r.Pass || r.ID != "x1" || r.Got != "2026-05-04T09:00:00Z\n" || r.Expected != "2026-05-04T10:00:00Z\n" {
		t.Errorf("got %+v", r)
	}
	if _, err := RunVectors(strings.NewReader(`{"format":"other/1"}`)); err == nil {
		t.Error("another format is read")
	}
}
