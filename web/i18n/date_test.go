package i18n

import (
	"testing"
	"time"
)

func TestTimesAreWrittenInTheReadersZoneAndLanguage(t *testing.T) {
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 26, 22, 30, 0, 0, time.UTC)
	for _, c := range []struct{ name, tag, zone, got, want string }{
		{"Nairobi in English: already the next day", "en", "Africa/Nairobi", b.Localizer("en", "Africa/Nairobi").DateTime(at), "Fri 27 Nov 2026, 01:30 EAT"},
		{"Toronto in French", "fr", "America/Toronto", b.Localizer("fr", "America/Toronto").DateTime(at), "jeu. 26 nov. 2026, 17:30 EST"},
		{"Riyadh has no abbreviation", "ar", "Asia/Riyadh", b.Localizer("ar", "Asia/Riyadh").DateTime(at), "الجمعة، 27 نوفمبر 2026، 01:30 UTC+3"},
		{"Bogotá in Spanish", "es", "America/Bogota", b.Localizer("es", "America/Bogota").DateTime(at), "jue 26 nov 2026, 17:30 UTC−5"},
		{"Maputo in Portuguese", "pt", "Africa/Maputo", b.Localizer("pt-MZ", "Africa/Maputo").DateTime(at), "sex. 27 nov. 2026, 00:30 CAT"},
		{"Shanghai in Chinese", "zh-Hans", "Asia/Shanghai", b.Localizer("zh-CN", "Asia/Shanghai").DateTime(at), "2026年11月27日周五 06:30 CST"},
		{"Almaty in Russian", "ru", "Asia/Almaty", b.Localizer("ru-KZ", "Asia/Almaty").DateTime(at), "пт, 27 нояб. 2026, 03:30 UTC+5"},
		{"half an hour", "en", "Asia/Kolkata", b.Localizer("en", "Asia/Kathmandu").Clock(at), "04:15 UTC+5:45"},
		{"unknown zone", "en", "", b.Localizer("en", "Mars/Olympus").Clock(at), "22:30 UTC"},
		{"another day on the other clock", "en", "", b.Localizer("en", "Africa/Nairobi").ClockIn(at, "America/Toronto"), "Thu 17:30 EST"},
		{"span within a day", "en", "", b.Localizer("en", "America/Toronto").Span(at, at.Add(30*time.Minute)), "Thu 26 Nov 2026, 17:30–18:00 EST"},
		{"span over midnight", "en", "", b.Localizer("en", "UTC").Span(at, at.Add(2*time.Hour)), "Thu 26 Nov 2026, 22:30 UTC – Fri 27 Nov 2026, 00:30 UTC"},
		{"span over a clock change", "en", "", b.Localizer("en", "America/Toronto").Span(time.Date(2026, 11, 1, 5, 30, 0, 0, time.UTC), time.Date(2026, 11, 1, 6, 30, 0, 0, time.UTC)), "Sun 1 Nov 2026, 01:30 EDT – Sun 1 Nov 2026, 01:30 EST"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestPlacesAndLanguagesHaveNames(t *testing.T) {
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ got, want string }{
		{b.Localizer("fr", "").Place("KE"), "Kenya"},
		{b.Localizer("fr", "").Place("DE"), "Allemagne"},
		{b.Localizer("ar", "").Place("SA"), "المملكة العربية السعودية"},
		{b.Localizer("fr", "").Language("ar"), "arabe"},
		{b.Localizer("en", "").Language("sw"), "Swahili"},
		{b.Localizer("en", "").Place("nowhere"), "nowhere"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
