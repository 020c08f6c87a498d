package i18n

import "testing"

func TestNumbersAndSizesAreWrittenAsTheLanguageDoes(t *testing.T) {
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ tag, number, small, size string }{
		{"en", "10,000,000", "512\u00a0B", "1.5\u00a0MB"},
		{"fr", "10\u202f000\u202f000", "512\u00a0o", "1,5\u00a0Mo"},
		{"ar", "10,000,000", "512\u00a0B", "1.5\u00a0MB"},
		{"es", "10\u00a0000\u00a0000", "512\u00a0B", "1,5\u00a0MB"},
		{"pt", "10.000.000", "512\u00a0B", "1,5\u00a0MB"},
		{"ru", "10\u00a0000\u00a0000", "512\u00a0Б", "1,5\u00a0МБ"},
		{"zh-Hans", "10,000,000", "512\u00a0B", "1.5\u00a0MB"},
	} {
		l := b.Localizer(c.tag, "")
		if got := []string{l.Number(10_000_000), l.Size(512), l.Size(3 << 19)}; got[0] != c.number || got[1] != c.small || got[2] != c.size {
			t.Errorf("%s: got %q, want %q, %q, %q", c.tag, got, c.number, c.small, c.size)
		}
		if got := []string{l.Number(0), l.Number(999), l.Number(-12)}; got[0] != "0" || got[1] != "999" || got[2] != "−12" {
			t.Errorf("%s: got %q", c.tag, got)
		}
	}
	for _, l := range Languages {
		if _, ok := numberTable[l.Tag]; !ok {
			t.Errorf("%s has no way of writing numbers", l.Tag)
		}
		if _, ok := dateTable[l.Tag]; !ok {
			t.Errorf("%s has no way of writing dates", l.Tag)
		}
	}
}
