package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// bookingRoutes are the addresses of the booking pages.
func (s *Server) bookingRoutes() []route {
	return []route{
		{http.MethodGet, "/cases/{case}/times", member, s.timesPage},
		{http.MethodPost, "/cases/{case}/times", member, s.bookTime},
		{http.MethodGet, "/appointments", someone, s.appointmentsPage},
		{http.MethodGet, "/appointments/{appointment}", someone, s.appointmentPage},
		{http.MethodGet, "/appointments/{appointment}/calendar.ics", someone, s.appointmentFile},
		{http.MethodPost, "/appointments/{appointment}/cancel", member, s.cancelAppointment},
		{http.MethodPost, "/appointments/{appointment}/answer", member, s.answerAppointment},
		{http.MethodPost, "/appointments/{appointment}/interpreter", member, s.pickInterpreter},
		{http.MethodPost, "/appointments/{appointment}/resend", member, s.resendInvitation},
		{http.MethodPost, "/appointments/{appointment}/substitute", member, s.substitute},
		{http.MethodGet, "/invite/{token}", everyone, s.slowly(s.invitePage)},
		{http.MethodPost, "/invite/{token}", everyone, s.slowly(s.redeemInvite)},
	}
}

const (
	listBack  = 90 * 24 * time.Hour  // how far the list of appointments goes back
	listAhead = 366 * 24 * time.Hour // and ahead
)

// stateLevels show a state in a color beside its word.
var stateLevels = map[scheduling.State]pages.Level{
	scheduling.StatePending: pages.LevelWarn, scheduling.StateBooked: pages.LevelOK, scheduling.StateInProgress: pages.LevelOK,
	scheduling.StateNeedsAttention: pages.LevelBad, scheduling.StateCanceled: pages.LevelBad, scheduling.StateNoShow: pages.LevelBad,
}

func stateName(l *i18n.Localizer, st scheduling.State) string {
	return l.T(i18n.ID("booking.state." + string(st)))
}

func kindName(l *i18n.Localizer, k scheduling.Kind) string {
	return l.T(i18n.ID("booking.kind." + string(k)))
}

// names are the people of appointments as the reader may know them: interpreters,
// specialists and guests do not learn the patient's name from a booking.
func (s *Server) names(ctx context.Context, v *visit, list ...scheduling.Appointment) (func(a scheduling.Appointment, seat scheduling.Seat) string, map[identity.PersonID]identity.Person, error) {
	var ids []identity.PersonID
	for _, a := range list {
		for _, seat := range a.Seats {
			if !slices.Contains(ids, seat.Person) {
				ids = append(ids, seat.Person)
			}
		}
	}
	people, err := s.d.Identity.People(ctx, ids...)
	if err != nil {
		return nil, nil, fmt.Errorf("people of appointments: %w", err)
	}
	return func(a scheduling.Appointment, seat scheduling.Seat) string {
		if seat.Role == scheduling.RolePatient && seat.Person != v.actor.Person && !scheduling.Arranges(v.actor, a.Organization) {
			return v.l.T(i18n.BookingWhoPatient)
		}
		return people[seat.Person].Name
	}, people, nil
}

func (s *Server) appointmentsPage(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	now := s.now()
	list, err := s.d.Scheduling.AppointmentsOf(r.Context(), v.actor, now.Add(-listBack), now.Add(listAhead))
	if err != nil {
		return fmt.Errorf("appointments page: %w", err)
	}
	name, _, err := s.names(r.Context(), v, list...)
	if err != nil {
		return err
	}
	p := pages.AppointmentsPage{}
	for _, a := range list {
		row := appointmentRow(v, a, now, name)
		if a.State.Occupies() && (now.Before(a.End()) || a.State == scheduling.StateInProgress) {
			p.Next = append(p.Next, row)
		} else {
			p.Past = append(p.Past, row)
		}
	}
	slices.Reverse(p.Past) // the latest first
	if p.Layout, err = s.layout(w, r, i18n.BookingListTitle); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, pages.Appointments(p))
}

// appointmentRow is one line of a list.
func appointmentRow(v *visit, a scheduling.Appointment, now time.Time, name func(scheduling.Appointment, scheduling.Seat) string) pages.AppointmentRow {
	row := pages.AppointmentRow{ID: string(a.ID), Kind: kindName(v.l, a.Kind), Start: a.StartAt, End: a.End(), State: stateName(v.l, a.State), Level: stateLevels[a.State]}
	for _, seat := range a.Seats {
		if seat.Person != v.actor.Person {
			row.With = append(row.With, name(a, seat))
		}
	}
	if _, seated := a.Seat(v.actor.Person); seated && a.Joinable(now) {
		row.Join = "/sessions/" + string(a.ID)
	}
	return row
}

// caseAppointments are the visits of a case that the reader may know of, those that
// are on first.
func (s *Server) caseAppointments(ctx context.Context, v *visit, ref scheduling.CaseRef, clinic identity.OrganizationID) ([]pages.AppointmentRow, error) {
	list, err := s.d.Scheduling.AppointmentsOfCase(ctx, v.actor, ref, clinic)
	if err != nil {
		return nil, fmt.Errorf("visits of a case: %w", err)
	}
	name, _, err := s.names(ctx, v, list...)
	if err != nil {
		return nil, err
	}
	// Beside clinical content the patient has no name: it is opened by itself.
	unnamed := func(a scheduling.Appointment, seat scheduling.Seat) string {
		if seat.Role == scheduling.RolePatient {
			return v.l.T(i18n.BookingWhoPatient)
		}
		return name(a, seat)
	}
	slices.SortStableFunc(list, func(a, b scheduling.Appointment) int {
		switch {
		case a.State.Occupies() == b.State.Occupies():
			return 0
		case a.State.Occupies():
			return -1
		}
		return 1
	})
	var rows []pages.AppointmentRow
	for _, a := range list {
		rows = append(rows, appointmentRow(v, a, s.now(), unnamed))
	}
	return rows, nil
}

func (s *Server) appointmentPage(w http.ResponseWriter, r *http.Request) error {
	return s.showAppointment(w, r, http.StatusOK, pages.Form{})
}

func appointmentID(r *http.Request) scheduling.AppointmentID {
	return scheduling.AppointmentID(r.PathValue("appointment"))
}

func (s *Server) showAppointment(w http.ResponseWriter, r *http.Request, status int, f pages.Form) error {
	v := visitOf(r)
	a, err := s.d.Scheduling.Appointment(r.Context(), v.actor, appointmentID(r))
	if err != nil {
		return fmt.Errorf("appointment page: %w", err)
	}
	name, people, err := s.names(r.Context(), v, a)
	if err != nil {
		return err
	}
	now := s.now()
	own, seated := a.Seat(v.actor.Person)
	arranges := scheduling.Arranges(v.actor, a.Organization)
	p := pages.AppointmentPage{ID: string(a.ID), Start: a.StartAt, End: a.End(), State: stateName(v.l, a.State), Level: stateLevels[a.State],
		Note: a.Note, Version: a.Version, Zones: a.ZoneVersion, Form: f, Opens: a.Opens()}
	switch { // what stands against its permissions: see held
	case a.State != scheduling.StateNeedsAttention:
	case !arranges:
		p.Attention = i18n.BookingAttentionWaits
	case a.Reason == scheduling.ReasonInterpreter:
		p.Attention = i18n.BookingAttentionInterpreter
	case a.Reason == scheduling.ReasonSilent:
		p.Attention = i18n.AskedSilent
	case a.Reason == scheduling.ReasonDeclined:
		p.Attention = i18n.RepliesAttention
	}
	if a.State == scheduling.StateCanceled {
		p.Reason = v.l.T(i18n.ID("booking.reason." + a.Reason))
	}
	if arranges || seated && own.Role == scheduling.RoleSpecialist {
		p.Case = string(a.Case)
	}
	p.Again = arranges && (a.State == scheduling.StateNeedsAttention || a.State == scheduling.StateCanceled)
	checks := map[identity.PersonID]sessions.DeviceCheck{}
	if s.d.Sessions != nil && !v.actor.Guest() {
		if checks, err = s.d.Sessions.Checks(r.Context(), v.actor, a.ID); err != nil {
			return fmt.Errorf("appointment page: %w", err)
		}
	}
	if p.Gaps, err = s.gapRows(r.Context(), v, a, name); err != nil {
		return err
	}
	for _, seat := range a.Seats {
		row := pages.PersonRow{Name: name(a, seat), You: seat.Person == v.actor.Person, Role: v.l.T(i18n.ID("role." + string(seat.Role))), Pair: seat.Pair,
			Released: seat.Released, Zone: people[seat.Person].Zone}
		if seat.Role == scheduling.RoleInterpreter || seat.Response != scheduling.NeedsAction {
			row.Answer = v.l.T(i18n.ID("booking.response." + string(seat.Response))) // nobody waits for the others' answers
		}
		if seat.Person == a.AnchorPerson {
			row.Zone = a.AnchorZone
		}
		if c, ok := checks[seat.Person]; ok {
			row.Check = &pages.CheckRow{At: c.At, Audio: c.Audio, Video: c.Video, Network: i18n.ID("device.network." + c.Network), Level: networkLevels[c.Network]}
		}
		switch seat.Response {
		case scheduling.Accepted:
			row.Level = pages.LevelOK
		case scheduling.Declined:
			row.Level = pages.LevelBad
		}
		if !seat.AttestedAt.IsZero() {
			p.Attested = seat.AttestedAt
		}
		if seat.Role == scheduling.RolePatient && arranges && a.State.Occupies() && now.Before(a.End()) {
			p.Resend = string(seat.ID)
		}
		p.People = append(p.People, row)
	}
	if arranges || seated && own.Role.Clinician() {
		for _, t := range a.Tasks {
			p.Tasks = append(p.Tasks, pages.TaskRow{Text: s.sentence(v.l, "before:"+t.Condition), For: people[t.Person].Name})
		}
	}
	p.Who = scheduling.ReadsWho(v.actor, a)
	switch {
	case a.Case == "":
	case arranges:
		p.Needs = "/cases/" + string(a.Case) + "/needs"
	case seated && (own.Role == scheduling.RolePatient || own.Role == scheduling.RoleSpecialist):
		p.Needs = "/appointments/" + string(a.ID) + "/needs"
	}
	if p.Hold, err = s.holdCard(r.Context(), v, a); err != nil {
		return err
	}
	p.Missed = s.missedCard(v, a, name)
	if p.Hold != nil { // nobody was told of it, and it is given back rather than canceled
		p.Resend, p.Tasks, p.Again = "", nil, false
	}
	if arranges || seated && own.Role != scheduling.RolePatient {
		p.SetAside = s.setAside(v.l, a, people)
	}
	p.Move = scheduling.MayMove(v.actor, a, now)
	p.File = seated && a.State.Occupies() && now.Before(a.End())
	switch {
	case !seated || !a.State.Occupies():
	case a.Joinable(now):
		p.Join = "/sessions/" + string(a.ID)
	case a.State == scheduling.StatePending && own.Role != scheduling.RoleInterpreter:
		p.JoinNote = i18n.BookingJoinWaits
	case a.State == scheduling.StateBooked && now.Before(a.Opens()):
		p.JoinNote = i18n.BookingJoinOpens
	case a.State == scheduling.StateBooked:
		p.JoinNote = i18n.BookingJoinOver
	}
	if seated && own.Role == scheduling.RoleInterpreter && own.Response == scheduling.NeedsAction && a.Seeks() {
		p.Accept = string(own.ID)
		if p.Ask, err = s.askCard(r.Context(), v, own); err != nil {
			return err
		}
	}
	if seated && own.Role == scheduling.RoleInterpreter && own.AttestedAt.IsZero() && !arranges {
		p.SetAside = nil // it speaks of others, see scheduling.ReadsWho
	}
	if arranges {
		if p.Ladder, err = s.ladderCard(r.Context(), v, a); err != nil {
			return err
		}
		if p.Ladder != nil && p.Ladder.Silent && p.Attention == i18n.BookingAttentionInterpreter {
			p.Attention = i18n.AskedMixed
		}
	}
	if scheduling.MayCancel(v.actor, a) && p.Hold == nil {
		for _, code := range scheduling.CancelReasons {
			p.Cancel = append(p.Cancel, pages.Option{Value: code, Text: v.l.T(i18n.ID("booking.reason." + code))})
		}
	}
	if p.Held, err = s.held(r.Context(), v, a, people); err != nil {
		return err
	}
	if p.Layout, err = s.titled(w, r, kindName(v.l, a.Kind)); err != nil {
		return err
	}
	if !v.actor.Guest() {
		p.Crumbs = []pages.Crumb{{Href: "/appointments", Label: v.l.T(i18n.BookingListTitle)}}
	}
	return s.render(w, r, status, pages.Appointment(p))
}

var networkLevels = map[string]pages.Level{"good": pages.LevelOK, "fair": pages.LevelWarn, "poor": pages.LevelBad}

// interpreterWhy are the sentences of the codes about interpreters that a search gives of
// its own; those of a certificate are credentialing's.
var interpreterWhy = map[string]i18n.ID{
	"interpreter:no-common-pair": i18n.BookingWhyNoPair,
	"interpreter:team":           i18n.SeekWhyTeam,
	"interpreter:relay-leg":      i18n.SeekWhyRelayLeg,
	"interpreter:avoid":          i18n.SeekWhyAvoid,
	"interpreter:needs":          i18n.NeedsWhyNotAsked,

	"interpreter:three-languages": i18n.LegsWhyThree,
}

// capacityWhy are the sentences of why the windows of a program take no more.
var capacityWhy = map[string]i18n.ID{
	"program:full":   i18n.BookingWhyCapacity,
	"program:late":   i18n.BookingWhyCapacityLate,
	"program:intake": i18n.BookingWhyCapacityIntake,
}

// sentence says a code of credentialing in the reader's language.
func (s *Server) sentence(l *i18n.Localizer, code string) string {
	if id, ok := interpreterWhy[code]; ok {
		return l.T(id)
	}
	e := s.d.Credentialing.Explain(code)
	return l.Sentence(e.MessageID, sentenceData(e))
}

// sentenceData are the values of an explanation, places by name.
func sentenceData(e credentialing.Explanation) map[string]any {
	data := make(map[string]any, len(e.Data))
	for k, v := range e.Data {
		if place, ok := v.(string); ok && k == "Place" {
			v = i18n.Place(place)
		}
		data[k] = v
	}
	return data
}

// appointmentFile is the reader's own seat as a calendar file.
func (s *Server) appointmentFile(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	inv, err := s.d.Scheduling.OwnInvitation(r.Context(), v.actor, appointmentID(r))
	if err != nil {
		return fmt.Errorf("calendar file: %w", err)
	}
	data, media, err := inv.Calendar(v.l.T(i18n.MailCalendarSummary), v.l.T(i18n.MailCalendarDescription), v.l.Tag(), s.now())
	if err != nil {
		return fmt.Errorf("calendar file: %w", err)
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Disposition", `attachment; filename="consilium.ics"`)
	_, err = w.Write(data)
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// appointmentFailed shows the appointment with what went wrong; an unexpected error goes on.
func (s *Server) appointmentFailed(w http.ResponseWriter, r *http.Request, f pages.Form, err error) error {
	status, text, ok := s.explain(err)
	if !ok || status == http.StatusNotFound || status == http.StatusForbidden {
		return err
	}
	f.Fail("", text)
	return s.showAppointment(w, r, status, f)
}

func (s *Server) cancelAppointment(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	reason := f.Choose(localizer(r), "reason", i18n.BookingCancelReason, scheduling.CancelReasons...)
	version, err := strconv.Atoi(f.Value("version"))
	if err != nil {
		return errBadForm
	}
	if !f.OK() {
		return s.showAppointment(w, r, http.StatusUnprocessableEntity, f)
	}
	a, err := s.d.Scheduling.Cancel(r.Context(), actorOf(r), appointmentID(r), version, reason)
	if err != nil {
		return s.appointmentFailed(w, r, f, err)
	}
	return s.done(w, r, "/appointments/"+string(a.ID), pages.LevelOK, i18n.BookingDoneCanceled)
}

// answerAppointment is the interpreter's yes, with the promise of confidentiality, or
// no.
func (s *Server) answerAppointment(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	v := visitOf(r)
	seat := scheduling.SeatID(f.Value("seat"))
	if f.Value("answer") == "decline" {
		if _, err := s.d.Scheduling.Answer(r.Context(), v.actor, seat, scheduling.Answer{Response: scheduling.Declined, Reason: f.Value("why"), Via: scheduling.ViaPage}); err != nil {
			return s.appointmentFailed(w, r, f, err)
		}
		return s.done(w, r, "/appointments", pages.LevelOK, i18n.BookingDoneDeclined)
	}
	if f.Value("promise") != "yes" {
		f.Fail("promise", i18n.BookingAcceptMust)
		return s.showAppointment(w, r, http.StatusUnprocessableEntity, f)
	}
	// The promise is kept with the hash of the very text shown; made twice it does no
	// harm, and a seat is never accepted without it.
	if err := s.d.Credentialing.SignAttestation(r.Context(), v.actor, credentialing.Attestation{Kind: "confidentiality",
		TextVersion: scheduling.Attestation, Text: v.l.T(i18n.BookingAcceptText), Language: v.l.Tag()}); err != nil {
		return fmt.Errorf("promise of confidentiality: %w", err)
	}
	if _, err := s.d.Scheduling.Accept(r.Context(), v.actor, seat); err != nil {
		return s.appointmentFailed(w, r, f, err)
	}
	return s.done(w, r, "/appointments/"+string(appointmentID(r)), pages.LevelOK, i18n.BookingDoneAccepted)
}

func (s *Server) resendInvitation(w http.ResponseWriter, r *http.Request) error {
	f, err := s.form(w, r)
	if err != nil {
		return err
	}
	if err := s.d.Scheduling.SendAgain(r.Context(), actorOf(r), appointmentID(r), scheduling.SeatID(f.Value("seat"))); err != nil {
		return fmt.Errorf("send invitation again: %w", err)
	}
	return s.done(w, r, "/appointments/"+string(appointmentID(r)), pages.LevelOK, i18n.BookingDoneResent)
}

// invitePage is behind a patient's link. It shows and spends nothing: programs that
// read mail open links too.
func (s *Server) invitePage(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	land, err := s.d.Scheduling.InviteLanding(r.Context(), r.PathValue("token"))
	if err != nil {
		return fmt.Errorf("link of an invitation: %w", err)
	}
	p := pages.InvitePage{Start: land.Start, End: land.Start.Add(land.Duration), Opens: land.Opens, Early: s.now().Before(land.Opens),
		Pending: land.State == scheduling.StatePending}
	if v.signed {
		who, err := s.d.Identity.Person(r.Context(), v.actor.Person)
		if err != nil {
			return fmt.Errorf("link of an invitation: %w", err)
		}
		p.Signed = who.Name
	} else if s.cookie(r, cookieLanguage) == "" {
		// Whoever comes for the first time reads the language the clinic wrote in.
		v.l = s.i18n.Localizer(land.Language, land.Zone)
	} else {
		v.l = s.i18n.Localizer(v.l.Tag(), land.Zone)
	}
	p.Layout = s.plain(r, v.l.T(i18n.BookingInviteTitle))
	return s.render(w, r, http.StatusOK, pages.Invite(p))
}

func (s *Server) redeemInvite(w http.ResponseWriter, r *http.Request) error {
	login, id, err := s.d.Scheduling.RedeemInvite(r.Context(), r.PathValue("token"))
	var early *scheduling.EarlyInvite
	if errors.As(err, &early) {
		return s.invitePage(w, r)
	}
	if err != nil {
		return fmt.Errorf("redeem a link: %w", err)
	}
	if v := visitOf(r); v.signed {
		if err := s.d.Identity.SignOut(r.Context(), v.actor); err != nil && !errors.Is(err, identity.ErrNoLogin) {
			return fmt.Errorf("leave the former person: %w", err)
		}
	}
	s.signIn(w, login)
	return s.redirect(w, r, "/sessions/"+string(id))
}

// appointmentsWaiting are the next appointments and, for interpreters, those to be
// answered.
func (s *Server) appointmentsWaiting(ctx context.Context, v *visit) ([]pages.HomeItem, error) {
	if s.d.Scheduling == nil {
		return nil, nil
	}
	now := s.now()
	list, err := s.d.Scheduling.AppointmentsOf(ctx, v.actor, now.Add(-time.Hour), now.Add(14*24*time.Hour))
	if err != nil {
		return nil, fmt.Errorf("appointments that wait: %w", err)
	}
	var out []pages.HomeItem
	for _, a := range list {
		own, seated := a.Seat(v.actor.Person)
		attention := a.State == scheduling.StateNeedsAttention && scheduling.Arranges(v.actor, a.Organization)
		if !a.State.Occupies() || !seated && !attention || !now.Before(a.End()) && a.State != scheduling.StateInProgress {
			continue
		}
		item := pages.HomeItem{Href: "/appointments/" + string(a.ID), Title: kindName(v.l, a.Kind), From: a.StartAt, To: a.End(),
			Tag: stateName(v.l, a.State), Level: stateLevels[a.State]}
		if own.Role == scheduling.RoleInterpreter && own.Response == scheduling.NeedsAction && a.Seeks() {
			item.Title = v.l.T(i18n.BookingHomeAccept)
		}
		if seated && a.Joinable(now) {
			item.Href = "/sessions/" + string(a.ID)
		}
		out = append(out, item)
	}
	return out, nil
}
