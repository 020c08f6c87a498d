package scheduling

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// hold puts a verified credential on file.
func (w *world) hold(person identity.PersonID, kind credentialing.Kind, place, number string, c credentialing.Claim) {
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	e, err := w.cred.EnterClaim(ctx, w.officer, credentialing.ClaimRequest{Person: person, Kind: kind, Issuer: "issuer " + place, Number: number, Jurisdiction: place, Claim: c})
	must(err)
	sum, err := w.cred.AttachEvidence(ctx, w.officer, e.Credential, credentialing.EvidenceFile{Bytes: []byte("register page of " + number), Source: "register"})
	must(err)
	method := "primary-source"
	if kind == credentialing.KindMalpractice {
		method = "certificate"
	}
	v, err := w.cred.Verify(ctx, w.officer, credentialing.VerifyRequest{Credential: e.Credential, Method: method, Source: "register", Result: credentialing.ResultFound, Evidence: sum})
	must(err)
	must(w.cred.Approve(ctx, w.approver, v))
	w.onFile[number] = e.Credential
}

// colleague is another cardiologist of Toronto with all that Kenya asks for.
func (w *world) colleague(name, number string) identity.PersonID {
	w.t.Helper()
	id := w.person(name, "fr", []string{"fr", "en"}, "America/Toronto")
	w.admin(`update person set home = 'CA-ON', specialty = 'cardiology' where id = $1`, string(id))
	w.admin(`insert into role_grant (id, person_id, organization_id, role, valid_from, granted_at) values (gen_random_uuid(), $1, $2, 'specialist', $3, $3)`,
		string(id), string(w.other), worldStart.AddDate(-1, 0, 0))
	years := credentialing.Claim{ValidFrom: credentialing.Date(2020, 1, 1), ValidTo: credentialing.Date(2029, 1, 1)}
	w.hold(id, credentialing.KindLicense, "CA-ON", number+"-L", years)
	w.hold(id, credentialing.KindRegistration, "KE", number+"-T", credentialing.Claim{Type: "temporary-licence", ValidFrom: years.ValidFrom, ValidTo: years.ValidTo,
		Facility: string(w.clinic), Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}})
	w.hold(id, credentialing.KindMalpractice, "", number+"-C", credentialing.Claim{ValidFrom: years.ValidFrom, ValidTo: years.ValidTo, Timezone: "America/Toronto",
		Territories: []string{"CA", "KE"}, Currency: "CAD", PerClaim: 5_000_000, Aggregate: 10_000_000})
	if err := w.cred.CheckExclusions(ctx, w.officer, credentialing.ExclusionCheck{Person: id, Lists: []string{"all"}}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// bookDays books one visit on each of the next working days that offer one.
func (w *world) bookDays(n int) []Appointment {
	w.t.Helper()
	answer, err := w.s.Search(ctx, w.otieno(), SearchRequest{Case: w.ref, Kind: JointVideoVisit, Specialist: w.claire, To: worldStart.AddDate(0, 0, 21)})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []Appointment
	last := ""
	for _, slot := range answer.Slots {
		if day := slot.Start.Format(time.DateOnly); day != last && len(out) < n {
			a, err := w.s.Book(ctx, w.otieno(), w.request(slot.Start))
			if err != nil {
				w.t.Fatal(err)
			}
			last, out = day, append(out, a)
		}
	}
	if len(out) != n {
		w.t.Fatalf("%d visits booked, want %d", len(out), n)
	}
	return out
}

// Story A9: a specialist is suspended a day before the suspension takes effect. Seven
// visits are set aside at once; a colleague is proposed for the five at which she can.
func TestSuspensionProposesTheColleagueWhereSheCan(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	zhao := w.colleague("Dr Zhao Li", "DEMO-Z")
	w.admin(`update person set specialty = 'cardiology' where id = $1`, string(w.claire))
	seven := w.bookDays(7)
	hours := week("America/Toronto", "08:00", "12:00")
	for _, i := range []int{2, 4} { // days on which she is away
		l := WallAt(must(LoadZone("America/Toronto")), seven[i].StartAt)
		hours.Overrides = append(hours.Overrides, Override{Date: l.Date})
	}
	w.hours(zhao, hours)
	w.again()
	w.setClock(worldStart.Add(time.Hour))
	w.status(credentialing.StatusSuspended, worldStart.Add(3*time.Hour))
	if r := w.again(); r.SetAside != 7 {
		t.Fatalf("%+v, want all seven set aside", r)
	}
	proposed := 0
	for _, a := range seven {
		list, err := w.s.Substitutes(ctx, w.otieno(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(list, func(p Proposal) bool {
			return p.Change == OtherSpecialist && p.Specialist == zhao && p.Start.Equal(a.StartAt) && slices.Equal(p.Interpreters, []identity.PersonID{w.layla})
		}) {
			proposed++
		}
		for _, p := range list {
			if p.Specialist == w.claire {
				t.Errorf("%s is proposed with the suspended specialist", p.Change)
			}
		}
		if !slices.ContainsFunc(list, func(p Proposal) bool { return p.Change == Alone }) {
			t.Errorf("the local physician alone is not proposed: %+v", list)
		}
	}
	if proposed != 5 {
		t.Errorf("Dr Zhao is proposed for %d visits, want 5", proposed)
	}
	if n := w.count(`select count(*) from appointment where state = 'canceled'`); n != 0 {
		t.Errorf("%d visits were canceled", n)
	}

	held := w.read(seven[0].ID)
	before, _ := held.Seat(w.amina)
	a, err := w.s.Substitute(ctx, w.otieno(), SubstituteRequest{Appointment: held.ID, Version: held.Version, Change: OtherSpecialist, Specialist: zhao})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.read(a.ID); got.State != StatePending || got.specialist() != zhao || !got.StartAt.Equal(held.StartAt) || got.Version != a.Version {
		t.Errorf("after: %s with %s at %v", got.State, got.specialist(), got.StartAt)
	} else if seat, _ := got.Seat(w.amina); seat.ID != before.ID {
		t.Error("the local physician lost her seat for another")
	}
	if _, err := w.s.Accept(ctx, w.aziz(), w.seatOf(a, w.layla)); err != nil {
		t.Errorf("the interpreter cannot accept: %v", err)
	}
	if _, err := w.s.Substitute(ctx, w.otieno(), SubstituteRequest{Appointment: held.ID, Version: held.Version, Change: OtherSpecialist, Specialist: zhao}); !errors.Is(err, ErrVersion) {
		t.Errorf("carried out twice: %v, want ErrVersion", err)
	}
	if r := w.again(); r.SetAside+r.Restored+r.Retasked != 0 {
		t.Errorf("looked at after: %+v, want nothing to do", r)
	}

	held = w.read(seven[1].ID)
	if a, err = w.s.Substitute(ctx, w.otieno(), SubstituteRequest{Appointment: held.ID, Version: held.Version, Change: Alone}); err != nil {
		t.Fatal(err)
	}
	if a.specialist() != "" || a.State != StatePending {
		t.Errorf("alone: %s with %q", a.State, a.specialist())
	}
	if r := w.again(); r.SetAside+r.Restored+r.Retasked != 0 {
		t.Errorf("alone, looked at: %+v, want nothing to do", r)
	}
	// Whoever is out is reminded of nothing; the others once for the visit as it is now.
	if n := w.count(`select count(*) from reminder r join seat s on s.id = r.seat_id
		where r.appointment_id = $1 and r.state = 'planned' and (s.released_at is not null or r.sequence <> $2)`, string(a.ID), a.Sequence); n != 0 {
		t.Errorf("%d reminders to those who left or of what was", n)
	}
	if n := w.count(`select count(distinct seat_id) from reminder where appointment_id = $1 and state = 'planned'`, string(a.ID)); n != 3 {
		t.Errorf("%d people are reminded, want 3", n)
	}
}

func TestSubstituteIsRefusedToThoseWhoDoNotArrangeAndWhenItIsNotPermitted(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	a := w.book()
	w.again()
	w.status(credentialing.StatusSuspended, worldStart)
	w.again()
	a = w.read(a.ID)
	stranger := w.person("Dr Without Anything", "en", []string{"en"}, "America/Toronto")
	w.hours(stranger, week("America/Toronto", "00:00", "24:00"))
	for _, c := range []struct {
		name  string
		actor identity.Actor
		req   SubstituteRequest
		want  error
	}{
		{"the specialist herself", w.actor(w.claire, w.other, identity.RoleSpecialist), SubstituteRequest{Change: Alone}, ErrForbidden},
		{"somebody else", w.actor(stranger, w.other, identity.RoleSpecialist), SubstituteRequest{Change: Alone}, ErrNotFound},
		{"not permitted", w.otieno(), SubstituteRequest{Change: OtherSpecialist, Specialist: stranger}, ErrSlotTaken},
		{"still suspended", w.otieno(), SubstituteRequest{Change: Narrower}, ErrSlotTaken},
		{"unknown change", w.otieno(), SubstituteRequest{Change: "anything"}, ErrInvalidRequest},
		{"the past", w.otieno(), SubstituteRequest{Change: OtherTime, Start: worldStart.Add(-time.Hour)}, ErrInvalidRequest},
		{"nobody", w.otieno(), SubstituteRequest{Change: OtherSpecialist, Specialist: "x"}, ErrInvalidRequest},
	} {
		c.req.Appointment, c.req.Version = a.ID, a.Version
		if _, err := w.s.Substitute(ctx, c.actor, c.req); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if got := w.read(a.ID); got.Version != a.Version || len(got.Seats) != len(a.Seats) {
		t.Error("a refused substitution left something behind")
	}
	if _, err := w.s.Substitutes(ctx, w.actor(w.claire, w.other, identity.RoleSpecialist), a.ID); !errors.Is(err, ErrForbidden) {
		t.Errorf("proposals to the specialist: %v", err)
	}
}

// A permission that ends before the visit, as a correction of the record shows: the
// nearest time that is permitted is proposed and carried out.
func TestAnotherTimeIsProposedWithinThePermission(t *testing.T) {
	w := credentialed(t, credentialing.Date(2027, 5, 31))
	seven := w.bookDays(3)
	late := seven[2]
	w.again()
	// The registration that counts from now on ends two days before the last visit.
	y, m, d := late.StartAt.AddDate(0, 0, -1).Date()
	w.replace("DEMO-KE-T001", credentialing.Claim{Type: "temporary-licence", ValidFrom: credentialing.Date(2026, 6, 1), ValidTo: credentialing.Date(y, m, d),
		Facility: string(w.clinic), Activities: []credentialing.Activity{credentialing.AdvisePhysician, credentialing.JointVideoVisit}})
	if r := w.again(); r.SetAside != 1 {
		t.Fatalf("%+v, want the last visit alone set aside", r)
	}
	list, err := w.s.Substitutes(ctx, w.otieno(), late.ID)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(p Proposal) bool { return p.Change == OtherTime })
	if i < 0 {
		t.Fatalf("proposals %+v, want another time", list)
	}
	if !list[i].Start.Before(late.StartAt) || list[i].Specialist != w.claire {
		t.Errorf("proposed %+v, want Prof. Tremblay before %v", list[i], late.StartAt)
	}
	late = w.read(late.ID)
	a, err := w.s.Substitute(ctx, w.otieno(), SubstituteRequest{Appointment: late.ID, Version: late.Version, Change: OtherTime, Start: list[i].Start})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.read(a.ID); !got.StartAt.Equal(list[i].Start) || got.State != StatePending || got.Sequence != late.Sequence+1 || len(got.Seats) != 8 {
		t.Errorf("moved to %v, %s, sequence %d, %d seats", got.StartAt, got.State, got.Sequence, len(got.Seats))
	}
	if r := w.again(); r.SetAside+r.Restored+r.Retasked != 0 {
		t.Errorf("looked at after: %+v, want nothing to do", r)
	}
}

// replace enters another version of a claim and has it verified and approved.
func (w *world) replace(number string, c credentialing.Claim) {
	w.t.Helper()
	id := w.onFile[number]
	view, err := w.cred.View(ctx, w.officer, id)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.cred.EnterClaim(ctx, w.officer, credentialing.ClaimRequest{Person: view.Person, Kind: view.Kind, Issuer: view.Issuer, Number: view.Number,
		Jurisdiction: view.Jurisdiction, Claim: c}); err != nil {
		w.t.Fatal(err)
	}
	sum, err := w.cred.AttachEvidence(ctx, w.officer, id, credentialing.EvidenceFile{Bytes: []byte("page " + uuid.NewString()), Source: "register"})
	if err != nil {
		w.t.Fatal(err)
	}
	v, err := w.cred.Verify(ctx, w.officer, credentialing.VerifyRequest{Credential: id, Method: "primary-source", Source: "register", Result: credentialing.ResultFound, Evidence: sum})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.cred.Approve(ctx, w.approver, v); err != nil {
		w.t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
