package web

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/scheduling"
)

func TestTheQueueSaysHowManyBookingsWaitAndWhichAreHeld(t *testing.T) {
	c := openClinic(t)
	o := office{house: c.house, cred: c.cred}
	c.book()
	body := c.get("kiptoo", "/credentials?show=held").Body.String()
	if !strings.Contains(body, "No booking is held.") {
		t.Errorf("nothing is held yet:\n%s", body)
	}
	// The specialist's registration is suspended: the booking is held, and waits for the
	// officer who confirms that the registration is active again.
	registration := "/credentials/" + string(c.licenses["DEMO-KE-T001"])
	report := func(who, status string) {
		o.send(t, who, registration+"/status", url.Values{"new_status": {status}, "status_source": {"Council"}})
	}
	report("wanjiru", "suspended")
	if _, err := c.scheduling.Reevaluate(t.Context()); err != nil {
		t.Fatal(err)
	}
	body = c.get("kiptoo", "/credentials?show=held").Body.String()
	if strings.Contains(body, "No booking is held.") || !strings.Contains(body, "Prof. Claire Tremblay") || !strings.Contains(body, "Jacaranda Hill Hospital") {
		t.Errorf("the held booking is not listed:\n%s", body)
	}
	report("wanjiru", "active")
	body = c.get("kiptoo", "/credentials?show=verify").Body.String()
	if !strings.Contains(body, "<strong>1</strong>") {
		t.Errorf("no task says that a booking waits for it:\n%s", body)
	}
	report("kiptoo", "active")
	if _, err := c.scheduling.Reevaluate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if body := c.get("kiptoo", "/credentials").Body.String(); !strings.Contains(body, "No booking is held.") {
		t.Errorf("the booking is still held:\n%s", body)
	}
	o.everyTongue(t, "kiptoo", "/credentials", "/credentials?show=held", "/credentials?show=90", "/credentials?show=verify")
}

// TestTheQueueCountsWhatWaitsForAPack asks as a service that relies on confirmed rules
// only: all that is refused where the pack applies waits for its confirmation.
func TestTheQueueCountsWhatWaitsForAPack(t *testing.T) {
	c := openClinic(t)
	o := office{house: c.house, cred: c.cred}
	c.book()
	tasks := []credentialing.QueueItem{{Task: credentialing.TaskConfirm, Pack: "KE"}, {Task: credentialing.TaskConfirm, Pack: "DE"},
		{Task: credentialing.TaskConfirm, Pack: "ZZ"}}
	strict, err := credentialing.New(credentialing.Config{DB: c.db, Identity: c.identity, Zones: scheduling.LoadZone})
	if err != nil {
		t.Fatal(err)
	}
	waits := func(s *credentialing.Service) []int {
		t.Helper()
		got, err := s.WaitingFor(t.Context(), c.actor("kiptoo"), tasks, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Of
	}
	if _, err := c.scheduling.Reevaluate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.cases.Reevaluate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := waits(strict); !slices.Equal(got, []int{0, 0, 0}) {
		t.Errorf("nothing is refused, and %v wait", got)
	}
	o.send(t, "wanjiru", "/credentials/"+string(c.licenses["DEMO-KE-T001"])+"/status", url.Values{"new_status": {"suspended"}, "status_source": {"Council"}})
	if _, err := c.scheduling.Reevaluate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.cases.Reevaluate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := waits(strict); !slices.Equal(got, []int{1, 0, 1}) {
		t.Errorf("a booking is refused in Kenya, and %v wait", got)
	}
	if got := waits(c.cred); !slices.Equal(got, []int{0, 0, 0}) {
		t.Errorf("where unconfirmed rules count %v wait for them", got)
	}
}
