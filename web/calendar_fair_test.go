package web

import (
	"strings"
	"testing"
	"time"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

func TestTimesPageSaysWhoSatAtHardHoursAndNamesTheFairestTime(t *testing.T) {
	b, err := i18n.New()
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Date(2026, 12, 2, 4, 0, 0, 0, time.UTC)
	fair := scheduling.Slot{Start: soon.Add(5 * time.Hour), Duration: 30 * time.Minute}
	answer := scheduling.SearchAnswer{Slots: []scheduling.Slot{{Start: soon, Duration: 30 * time.Minute}, fair}, Fairest: []scheduling.Slot{fair},
		Fair: []scheduling.FairNote{{Name: "Prof. Tremblay", Balance: 360, Hard: 4, Visits: 5}, {Name: "Dr Otieno", Balance: 30, Hard: 1, Visits: 5}}}
	for tag, want := range map[string]string{"en": "in 4 of the last 5 visits", "fr": "lors de 4 des 5 derniers", "ar": "آخر 5"} {
		p := pages.TimesPage{}
		v := &visit{l: b.Localizer(tag, "Africa/Nairobi")}
		fairTimes(v, answer, &p)
		if p.Fairest == nil || !p.Fairest.Start.Equal(fair.Start) || len(p.Fair) != 1 {
			t.Fatalf("%+v, %+v", p.Fairest, p.Fair)
		}
		text := v.l.T(i18n.FairNote, i18n.V{"Name": p.Fair[0].Name, "Hard": "4", "Visits": "5"})
		if !strings.Contains(text, want) || !strings.Contains(text, "Tremblay") {
			t.Errorf("%s: %q", tag, text)
		}
	}
	answer.Fairest = answer.Slots[:1]
	p := pages.TimesPage{}
	fairTimes(&visit{l: b.Localizer("en", "UTC")}, answer, &p)
	if p.Fairest != nil {
		t.Error("the soonest time is named twice")
	}
	answer.Fair = nil
	if fairTimes(&visit{l: b.Localizer("en", "UTC")}, answer, &p); p.Fairest != nil {
		t.Error("nobody carried anything")
	}
}
