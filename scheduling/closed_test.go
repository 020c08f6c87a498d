package scheduling

import (
	"errors"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing/identity"
)

func TestClosedDaysAreReadLineByLine(t *testing.T) {
	list, err := ParseClosedDays("2026-12-25 Christmas\r\n\r\n  2026-12-12   Jamhuri Day \n")
	if err != nil || len(list) != 2 || list[0] != (ClosedDay{Date: DateOf(2026, 12, 12), Name: "Jamhuri Day"}) || list[1].Name != "Christmas" {
		t.Fatalf("%+v, %v", list, err)
	}
	for text, line := range map[string]int{"12.12.2026 Jamhuri Day": 1, "2026-12-12": 1, "2026-12-12 A\n2026-13-01 B": 2, "2026-12-12 A\n\n2026-12-12 B": 3,
		"2026-12-12 " + strings.Repeat("x", 81): 1} {
		var bad *ClosedLine
		if _, err := ParseClosedDays(text); !errors.As(err, &bad) || bad.Number != line {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestClosedDaysAreTheHousesAndReadByAll(t *testing.T) {
	w := newWorld(t)
	list := []ClosedDay{{Date: DateOf(2026, 12, 12), Name: "Jamhuri Day"}, {Date: DateOf(2026, 12, 25), Name: "Christmas"}}
	if err := w.s.SetClosedDays(ctx, w.coordinator(), list); err != nil {
		t.Fatal(err)
	}
	if err := w.s.SetClosedDays(ctx, w.tremblay(), []ClosedDay{{Date: DateOf(2026, 12, 25), Name: "Noël"}}); err != nil {
		t.Fatal(err)
	}
	for name, actor := range map[string]identity.Actor{"an interpreter": w.interpreter(w.layla), "an officer": w.actor(w.peter, w.clinic, identity.RoleOfficer), "a physician": w.otieno(), "a guest": {Person: w.salma, Seat: "x", Organization: w.clinic}} {
		if err := w.s.SetClosedDays(ctx, actor, nil); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := w.s.ClosedDays(ctx, w.clinic, w.other)
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := w.s.SetClosedDays(ctx, w.coordinator(), list[:1]); err != nil {
		t.Fatal(err)
	}
	if got, err = w.s.ClosedDays(ctx, w.clinic); err != nil || len(got) != 1 || got[0].Organization != w.clinic || got[0].Name != "Jamhuri Day" {
		t.Errorf("%+v, %v", got, err)
	}
}
