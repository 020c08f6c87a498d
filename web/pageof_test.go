package web

import (
	"net/http/httptest"
	"testing"

	"github.com/consilium-health/consilium/web/i18n"
)

func TestAListComesInPagesThatKeepWhatNarrowsIt(t *testing.T) {
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	l := b.Localizer("en", "UTC")
	for _, test := range []struct {
		query         string
		n, from, to   int
		text          string
		before, after string
	}{
		{"", 0, 0, 0, "", "", ""},
		{"", 50, 0, 50, "", "", ""},
		{"?show=verify", 51, 0, 50, "1 to 50 of 51", "", "/credentials?page=2&show=verify"},
		{"?show=verify&page=2", 120, 50, 100, "51 to 100 of 120", "/credentials?page=1&show=verify", "/credentials?page=3&show=verify"},
		{"?page=99", 120, 100, 120, "101 to 120 of 120", "/credentials?page=2", ""},
		{"?page=-1", 120, 0, 50, "1 to 50 of 120", "", "/credentials?page=2"},
		{"?page=1e9", 120, 0, 50, "1 to 50 of 120", "", "/credentials?page=2"},
		{"?page=9999999999999999999999", 60, 0, 50, "1 to 50 of 60", "", "/credentials?page=2"},
	} {
		p := pageOf(l, httptest.NewRequest("GET", "/credentials"+test.query, nil), "page", test.n, 50)
		if p.From != test.from || p.To != test.to || p.Text != test.text || p.Before != test.before || p.After != test.after {
			t.Errorf("%q of %d: %+v", test.query, test.n, p)
		}
	}
}
