package web

import (
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
)

func TestBookingsAfterTheEndOfACredentialAreCounted(t *testing.T) {
	c := openClinic(t)
	at := c.book()
	a, err := c.scheduling.Appointment(t.Context(), c.actor("otieno"), scheduling.AppointmentID(at[len("/appointments/"):]))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{d: Deps{Identity: c.identity, Scheduling: c.scheduling, Workspace: c.cases}}
	subjects, err := s.subjects(t.Context(), c.actor("wanjiru"))
	if err != nil {
		t.Fatal(err)
	}
	e := credentialing.Ending{Person: c.people["tremblay"], Ends: a.StartAt}
	if n := bookedAfter(subjects, e); n != 1 {
		t.Errorf("%d bookings after the end, want 1", n)
	}
	e.Ends = a.End()
	if n := bookedAfter(subjects, e); n != 0 {
		t.Errorf("%d bookings after the end, want 0", n)
	}
	if body := c.get("wanjiru", "/credentials/expiring").Body.String(); !strings.Contains(body, `id="soon"`) {
		t.Error("no page of what ends soon")
	}
	if w := c.get("otieno", "/credentials/expiring"); w.Code != 403 {
		t.Errorf("a physician lists what ends: %d", w.Code)
	}
}
