package credentialing_test

import (
	"errors"
	"testing"
	"time"

	"github.com/consilium-health/consilium/credentialing"
)

func TestHoldersAreToldOnceAtEachMarkBeforeTheEnd(t *testing.T) {
	w := newWorld(t)
	ends := start.AddDate(0, 0, 80)
	e := w.onFile(license(w.otieno, "KE", "KE-1", credentialing.Date(ends.Year(), ends.Month(), ends.Day())))
	w.onFile(license(w.kamau, "KE", "KE-2", credentialing.Date(2029, 1, 1)))
	w.onFile(license(w.weber, "DE", "DE-1", credentialing.Moment{}))
	days := 0
	for _, c := range []struct{ day, told, within int }{{0, 1, 90}, {1, 0, 90}, {25, 1, 60}, {52, 1, 30}, {75, 1, 7}, {76, 0, 7}} {
		w.clock.move(time.Duration(c.day-days) * 24 * time.Hour)
		days = c.day
		for range 2 {
			told, err := w.s.RemindExpiring(t.Context())
			w.must(err)
			if told != c.told {
				t.Errorf("day %d: %d told, want %d", c.day, told, c.told)
			}
			c.told = 0 // never twice
		}
		list, err := w.s.Expiring(t.Context(), w.grace)
		w.must(err)
		if len(list) != 1 || list[0].Credential != e.Credential || list[0].Within != c.within || list[0].Person != w.otieno.Person {
			t.Errorf("day %d: %+v, want within %d", c.day, list, c.within)
		}
	}
	if _, err := w.s.Expiring(t.Context(), w.otieno); !errors.Is(err, credentialing.ErrForbidden) {
		t.Errorf("a physician lists what ends: %v", err)
	}
	w.onFile(license(w.otieno, "KE", "KE-1", credentialing.Date(2029, 1, 1))) // renewed
	list, err := w.s.Expiring(t.Context(), w.grace)
	w.must(err)
	if len(list) != 0 {
		t.Errorf("a renewed license ends soon: %+v", list)
	}
}
