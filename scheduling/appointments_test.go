package scheduling

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	goical "github.com/emersion/go-ical"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func (w *world) seatOf(a Appointment, id identity.PersonID) SeatID {
	w.t.Helper()
	s, ok := a.Seat(id)
	if !ok {
		w.t.Fatalf("%s has no seat", id)
	}
	return s.ID
}

func (w *world) aziz() identity.Actor { return w.actor(w.layla, w.other, identity.RoleInterpreter) }

func TestAppointmentIsBookedOnceTheInterpreterAccepts(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	if a.State != StatePending {
		t.Fatalf("state %s, want pending", a.State)
	}
	if a.Joinable(a.StartAt) {
		t.Error("a pending appointment can be joined")
	}
	seat := w.seatOf(a, w.layla)
	if _, err := w.s.Accept(ctx, w.actor(w.claire, w.other, identity.RoleSpecialist), seat); !errors.Is(err, ErrNotFound) {
		t.Errorf("somebody else accepts: %v, want ErrNotFound", err)
	}
	if _, err := w.s.Accept(ctx, w.otieno(), w.seatOf(a, w.amina)); !errors.Is(err, ErrForbidden) {
		t.Errorf("a physician accepts as an interpreter: %v, want ErrForbidden", err)
	}
	for range 2 { // twice changes nothing
		got, err := w.s.Accept(ctx, w.aziz(), seat)
		if err != nil {
			t.Fatal(err)
		}
		if got.State != StateBooked {
			t.Errorf("state %s, want booked", got.State)
		}
	}
	read, err := w.s.Appointment(ctx, w.aziz(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := read.Seat(w.layla)
	if s.Response != Accepted || !s.AttestedAt.Equal(worldStart) {
		t.Errorf("seat %+v, want accepted with the attestation", s)
	}
	if !read.Joinable(read.StartAt.Add(-JoinOpens)) || read.Joinable(read.StartAt.Add(-JoinOpens-time.Second)) || read.Joinable(read.End()) {
		t.Error("joinable from 15 minutes before the start until the end, and only then")
	}
	if n := w.count(`select count(*) from audit_leaf where act = 'seat.accepted'`); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestDeclineNeedsAttentionAndFreesTheInterpreter(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	got, err := w.s.Decline(ctx, w.aziz(), w.seatOf(a, w.layla))
	if err != nil {
		t.Fatal(err)
	}
	if got.State != StateNeedsAttention || got.Reason != ReasonInterpreter {
		t.Errorf("state %s for %q", got.State, got.Reason)
	}
	if n := w.count(`select count(*) from seat where released_at is null`); n != 3 {
		t.Errorf("%d seats are kept, want 3", n)
	}
	if n := w.count(`select count(*) from seat where person_id = $1 and response = 'declined' and released_at is not null`, string(w.layla)); n != 1 {
		t.Error("the interpreter's seat is not declined and free")
	}
	// What needs attention can be canceled, and the time is free again.
	if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, got.Version, ReasonInterpreter); err != nil {
		t.Fatal(err)
	}
	if again := w.first(); !again.Equal(a.StartAt) {
		t.Errorf("first start %v, want %v again", again, a.StartAt)
	}
}

func TestCancelFreesEverybodyAndEndsLinks(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	inv, err := w.s.Invitation(ctx, identity.System("mail", w.clinic), a.ID, w.salma)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.Cancel(ctx, w.aziz(), a.ID, a.Version, ReasonOther); !errors.Is(err, ErrForbidden) {
		t.Errorf("the interpreter cancels: %v, want ErrForbidden", err)
	}
	if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version+1, ReasonOther); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v, want ErrVersion", err)
	}
	if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version, "because she is ill"); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("free text: %v, want ErrInvalidRequest", err)
	}
	got, err := w.s.Cancel(ctx, w.actor(w.claire, w.other, identity.RoleSpecialist), a.ID, a.Version, ReasonClinician)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != StateCanceled || got.Sequence != 1 {
		t.Errorf("state %s, sequence %d", got.State, got.Sequence)
	}
	if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, got.Version, ReasonOther); !errors.Is(err, ErrState) {
		t.Errorf("canceled twice: %v, want ErrState", err)
	}
	if again := w.first(); !again.Equal(a.StartAt) {
		t.Errorf("first start %v, want %v again", again, a.StartAt)
	}
	if _, err := w.s.InviteLanding(ctx, inv.Link[strings.LastIndex(inv.Link, "/")+1:]); !errors.Is(err, ErrInvite) {
		t.Errorf("link of a canceled appointment: %v, want ErrInvite", err)
	}
}

func TestAppointmentIsSeenByItsPeopleAndItsClinicAlone(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	// An interpreter sees the others from the promise of confidentiality on.
	if _, err := w.s.Accept(ctx, w.aziz(), w.seatOf(a, w.layla)); err != nil {
		t.Fatal(err)
	}
	stranger := w.person("Dr Noura Al-Harbi", "ar", []string{"ar", "en"}, "Asia/Riyadh")
	seen := map[string]identity.Actor{
		"physician":   w.otieno(),
		"coordinator": w.actor(w.peter, w.clinic, identity.RoleCoordinator),
		"specialist":  w.actor(w.claire, w.other, identity.RoleSpecialist),
		"interpreter": w.aziz(),
		"patient":     {Person: w.salma, Roles: []identity.Role{identity.RolePatient}},
		"her guest":   {Person: w.salma, Seat: string(w.seatOf(a, w.salma))},
	}
	for who, actor := range seen {
		got, err := w.s.Appointment(ctx, actor, a.ID)
		if err != nil || len(got.Seats) != 4 {
			t.Errorf("%s: %v, %d seats", who, err, len(got.Seats))
		}
		list, err := w.s.AppointmentsOf(ctx, actor, worldStart, worldStart.AddDate(0, 0, 30))
		if err != nil || len(list) != 1 || list[0].ID != a.ID {
			t.Errorf("%s lists %d appointments, %v", who, len(list), err)
		}
	}
	for who, actor := range map[string]identity.Actor{
		"physician of another clinic":   w.actor(stranger, w.other, identity.RoleLocalPhysician),
		"coordinator of another clinic": w.actor(stranger, w.other, identity.RoleCoordinator),
		"officer of the clinic":         w.actor(stranger, w.clinic, identity.RoleOfficer),
		"guest of another seat":         {Person: w.salma, Seat: string(w.seatOf(a, w.amina))},
	} {
		if _, err := w.s.Appointment(ctx, actor, a.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", who, err)
		}
		if list, err := w.s.AppointmentsOf(ctx, actor, worldStart, worldStart.AddDate(0, 0, 30)); err != nil || len(list) != 0 {
			t.Errorf("%s lists %d appointments, %v", who, len(list), err)
		}
	}
	if _, err := w.s.Appointment(ctx, w.otieno(), "' or 1=1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no id: %v, want ErrNotFound", err)
	}
}

func TestDoorFindsTheSeatAndSessionsMoveTheState(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	if _, err := w.s.Accept(ctx, w.aziz(), w.seatOf(a, w.layla)); err != nil {
		t.Fatal(err)
	}
	claire := w.actor(w.claire, w.other, identity.RoleSpecialist)
	for range 2 { // beginning twice changes nothing
		if err := w.audit.Write(ctx, claire.Scope(), func(tx *audit.Tx) error {
			seat, got, err := w.s.SeatFor(ctx, tx, a.ID, w.claire)
			if err != nil {
				return err
			}
			if seat.Role != RoleSpecialist || got.Organization != w.clinic || tx.Scope.Organization != string(w.clinic) {
				t.Errorf("seat %+v in %s, scope %+v", seat, got.Organization, tx.Scope)
			}
			return w.s.Begin(ctx, tx, a.ID)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.audit.Write(ctx, audit.Scope{Organization: string(w.clinic)}, func(tx *audit.Tx) error { return w.s.Fulfill(ctx, tx, a.ID) }); err != nil {
		t.Fatal(err)
	}
	if got, err := w.s.Appointment(ctx, claire, a.ID); err != nil || got.State != StateFulfilled {
		t.Errorf("state %s, %v, want fulfilled", got.State, err)
	}
	if err := w.audit.Read(ctx, audit.Scope{Person: string(w.yusuf)}, func(tx *audit.Tx) error {
		_, _, err := w.s.SeatFor(ctx, tx, a.ID, w.yusuf)
		return err
	}); !errors.Is(err, ErrNotFound) {
		t.Errorf("somebody without a seat: %v, want ErrNotFound", err)
	}
	if n := w.count(`select count(*) from audit_leaf where act in ('appointment.began', 'appointment.fulfilled')`); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

func TestLinkIsRedeemedOnceAndOnlyNearTheStart(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	inv, err := w.s.Invitation(ctx, identity.System("mail", w.clinic), a.ID, w.salma)
	if err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(inv.Link, "https://consilium.example:8443/invite/")
	if !ok || !inv.Redeem {
		t.Fatalf("link %q", inv.Link)
	}
	if n := w.count(`select count(*) from invite where position(convert_to($1, 'UTF8') in token_sha256) > 0`, token); n != 0 {
		t.Error("the token itself is kept")
	}
	var early *EarlyInvite
	if _, _, err := w.s.RedeemInvite(ctx, token); !errors.As(err, &early) || !early.Opens.Equal(a.StartAt.Add(-inviteOpens)) {
		t.Fatalf("hours before: %v, want *EarlyInvite", err)
	}
	w.setClock(a.StartAt.Add(-20 * time.Minute))
	for range 3 { // looking spends nothing
		l, err := w.s.InviteLanding(ctx, token)
		if err != nil || l.Language != "ar" || l.Zone != "Africa/Nairobi" || l.Role != RolePatient {
			t.Fatalf("landing %+v, %v", l, err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			login, id, err := w.s.RedeemInvite(ctx, token)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && login != "" && id == a.ID:
				won++
			case !errors.Is(err, ErrInvite):
				t.Errorf("redeem: %v", err)
			}
		}()
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d of 50 redeemed the link, want 1", won)
	}
	if g := w.dir.guests; len(g) != 1 || g[0].Person != w.salma || g[0].Seat != string(w.seatOf(a, w.salma)) || !g[0].Until.Equal(a.End().Add(guestStays)) {
		t.Errorf("guest logins %+v", g)
	}
	for name, bad := range map[string]string{"empty": "", "short": token[:20], "changed": token[:60] + "AAAA", "other alphabet": strings.Repeat("+", len(token)), "line": token + "\n"} {
		if bad == token {
			continue
		}
		if _, err := w.s.InviteLanding(ctx, bad); !errors.Is(err, ErrInvite) {
			t.Errorf("%s token: %v, want ErrInvite", name, err)
		}
	}
	w.setClock(a.End())
	fresh, err := w.s.Invitation(ctx, identity.System("mail", w.clinic), a.ID, w.salma)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.InviteLanding(ctx, fresh.Link[strings.LastIndex(fresh.Link, "/")+1:]); !errors.Is(err, ErrInvite) {
		t.Errorf("after the end: %v, want ErrInvite", err)
	}
}

func TestCalendarFileNamesNobodyButItsReader(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	inv, err := w.s.Invitation(ctx, identity.System("mail", w.clinic), a.ID, w.claire)
	if err != nil {
		t.Fatal(err)
	}
	if inv.Link != "https://consilium.example:8443/appointments/"+string(a.ID) || inv.Redeem {
		t.Errorf("link %q", inv.Link)
	}
	file, typ, err := inv.Calendar("Rendez-vous de téléconsultation", "08:00 EST", "fr", worldStart)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(typ, "method=REQUEST") {
		t.Errorf("type %s", typ)
	}
	cal, err := goical.NewDecoder(bytes.NewReader(file)).Decode()
	if err != nil {
		t.Fatal(err)
	}
	event := cal.Children[0]
	if got := event.Props.Get(goical.PropDateTimeStart).Value; got != a.StartAt.Format("20060102T150405Z") {
		t.Errorf("start %s", got)
	}
	if got := event.Props.Get(goical.PropUID).Value; got != string(a.ID)+"@consilium.example" {
		t.Errorf("uid %s", got)
	}
	if n := len(event.Props.Values(goical.PropAttendee)); n != 1 {
		t.Errorf("%d attendees, want the reader alone", n)
	}
	for _, name := range []string{"Idris", "Otieno", "Aziz", string(w.ref)} {
		if strings.Contains(string(file), name) {
			t.Errorf("the calendar file speaks of %s", name)
		}
	}
	if _, err := w.s.Cancel(ctx, w.otieno(), a.ID, a.Version, ReasonResolved); err != nil {
		t.Fatal(err)
	}
	inv, err = w.s.Invitation(ctx, identity.System("mail", w.clinic), a.ID, w.claire)
	if err != nil {
		t.Fatal(err)
	}
	if file, _, err = inv.Calendar("Rendez-vous", "", "fr", worldStart); err != nil || !strings.Contains(string(file), "METHOD:CANCEL") || !strings.Contains(string(file), "SEQUENCE:1") {
		t.Errorf("%v\n%s", err, file)
	}
	if _, err := w.s.Invitation(ctx, w.otieno(), a.ID, w.claire); !errors.Is(err, ErrForbidden) {
		t.Errorf("a person asks for somebody's link: %v, want ErrForbidden", err)
	}
}

func TestAvailabilityIsTheOwnersAndKeepsItsVersion(t *testing.T) {
	w := newWorld(t)
	claire := w.actor(w.claire, w.other, identity.RoleSpecialist)
	a, err := w.s.AvailabilityOf(ctx, claire, w.claire)
	if err != nil || a.Version != 1 || len(a.Rules) != 1 || a.Rules[0].Start.String() != "08:00" {
		t.Fatalf("availability %+v, %v", a, err)
	}
	day := DateOf(2026, time.November, 26)
	a.Overrides = []Override{{Date: day, Windows: [][2]Minute{{0, 1440}}}}
	a.Exdates = []Date{day + 1}
	a.BufferBefore, a.MinNotice = 10*time.Minute, 2*time.Hour
	if a, err = w.s.SetAvailability(ctx, claire, w.claire, a); err != nil || a.Version != 2 {
		t.Fatalf("version %d, %v", a.Version, err)
	}
	read, err := w.s.AvailabilityOf(ctx, claire, w.claire)
	if err != nil || read.Version != 2 || len(read.Overrides) != 1 || read.Overrides[0].Date != day || read.Exdates[0] != day+1 || read.BufferBefore != a.BufferBefore || read.MinNotice != a.MinNotice {
		t.Fatalf("read %+v, %v", read, err)
	}
	a.Version = 1
	if _, err := w.s.SetAvailability(ctx, claire, w.claire, a); !errors.Is(err, ErrVersion) {
		t.Errorf("old version: %v, want ErrVersion", err)
	}
	if _, err := w.s.SetAvailability(ctx, w.otieno(), w.claire, read); !errors.Is(err, ErrForbidden) {
		t.Errorf("somebody else's hours: %v, want ErrForbidden", err)
	}
	read.Rules[0].Days = nil
	if _, err := w.s.SetAvailability(ctx, claire, w.claire, read); !errors.Is(err, ErrInvalidAvailability) {
		t.Errorf("no weekday: %v, want ErrInvalidAvailability", err)
	}
}

// A clinic sees of other clinics' seats that somebody is busy, and nothing else.
func TestSeatsOfOtherClinicsShowAsBusyAlone(t *testing.T) {
	w := newWorld(t)
	a := w.book()
	err := w.audit.Read(ctx, audit.Scope{Organization: string(w.other), Person: string(w.yusuf)}, func(tx *audit.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, `select (select count(*) from seat) + (select count(*) from appointment) + (select count(*) from booking_request)`).Scan(&n); err != nil {
			return err
		}
		if n != 0 {
			t.Errorf("%d rows of another clinic are visible", n)
		}
		taken, err := busy(ctx, tx, []identity.PersonID{w.claire}, a.StartAt, a.End())
		if err != nil {
			return err
		}
		if r := taken[w.claire]; len(r) != 1 || !r[0].Start.Equal(a.StartAt) || !r[0].End.Equal(a.End()) {
			t.Errorf("busy %+v", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
