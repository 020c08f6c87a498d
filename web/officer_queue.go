package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/i18n"
	"github.com/consilium-health/consilium/web/pages"
)

// queueShow is one way to narrow the queue.
type queueShow struct {
	key  string
	has  func(q credentialing.QueueItem, now time.Time) bool
	days int // of "ends within"
}

func ofTasks(tasks ...string) func(credentialing.QueueItem, time.Time) bool {
	return func(q credentialing.QueueItem, _ time.Time) bool { return slices.Contains(tasks, q.Task) }
}

// endsWithin takes a credential in its shortest span only: 90 are those after 30 days.
func endsWithin(over, days int) func(credentialing.QueueItem, time.Time) bool {
	return func(q credentialing.QueueItem, now time.Time) bool {
		left := q.Ends.Sub(now)
		return q.Task == credentialing.TaskExpiring && left <= time.Duration(days)*24*time.Hour && left > time.Duration(over)*24*time.Hour
	}
}

var queueShows = []queueShow{
	{"verify", ofTasks(credentialing.TaskVerify, credentialing.TaskApprove, credentialing.TaskReview, credentialing.TaskReinstate), 0},
	{"overdue", ofTasks(credentialing.TaskOverdue, credentialing.TaskCheckList, credentialing.TaskPack, credentialing.TaskMatch, credentialing.TaskEvidence), 0},
	{"7", endsWithin(-36500, 7), 7},
	{"30", endsWithin(7, 30), 30},
	{"90", endsWithin(30, 90), 90},
}

// fillQueue puts the tasks on the page, narrowed as the address says, each with the
// number of bookings and cases that wait for it, and the bookings that are held. What
// waits is worked out for what the page shows only.
func (s *Server) fillQueue(r *http.Request, p *pages.OfficerPage, queue []credentialing.QueueItem) error {
	l, show := localizer(r), r.URL.Query().Get("show")
	clinics, held, err := s.heldBookings(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("what waits for officers: %w", err)
	}
	narrow := func(credentialing.QueueItem, time.Time) bool { return show != "held" }
	p.Shows = []pages.QueueShow{{Href: "/credentials", Label: l.T(i18n.ComplianceShowAll), Count: len(queue), Current: true}}
	for _, one := range queueShows {
		link := pages.QueueShow{Href: "/credentials?show=" + one.key, Current: show == one.key}
		switch {
		case one.days > 0:
			link.Label = l.T(i18n.ComplianceShowWithin, i18n.V{"Days": strconv.Itoa(one.days)})
		case one.key == "verify":
			link.Label = l.T(i18n.ComplianceShowVerify)
		default:
			link.Label = l.T(i18n.ComplianceShowOverdue)
		}
		for _, q := range queue {
			if one.has(q, s.now()) {
				link.Count++
			}
		}
		if link.Current {
			narrow, p.Shows[0].Current = one.has, false
		}
		p.Shows = append(p.Shows, link)
	}
	p.Shows = append(p.Shows, pages.QueueShow{Href: "/credentials?show=held", Label: l.T(i18n.ComplianceHeld), Count: len(held), Current: show == "held"})
	if show == "held" {
		p.Shows[0].Current = false
	}
	var shown []credentialing.QueueItem
	for _, q := range queue {
		if narrow(q, s.now()) {
			shown = append(shown, q)
		}
	}
	p.Pages = pageOf(l, r, "page", len(shown), queueRows)
	shown = shown[p.Pages.From:p.Pages.To]
	p.HeldShown = p.Shows[0].Current || show == "held"
	p.HeldPages = pageOf(l, r, "held", len(held), heldRows)
	held = held[p.HeldPages.From:p.HeldPages.To]
	if !p.HeldShown {
		held = nil
	}
	subjects, err := s.refusedSubjects(r.Context(), actorOf(r), clinics, shown, held)
	if err != nil {
		return fmt.Errorf("what waits for officers: %w", err)
	}
	ids := make([]string, len(held))
	for i, h := range held {
		ids[i] = string(h.ID)
	}
	waiting, err := s.d.Credentialing.WaitingFor(r.Context(), actorOf(r), shown, subjects, ids)
	if err != nil {
		return fmt.Errorf("what waits for officers: %w", err)
	}
	names, err := s.namesOf(r.Context(), queuePeople(shown))
	if err != nil {
		return err
	}
	for i, q := range shown {
		t := officerTask(q, names)
		t.Waiting = waiting.Of[i]
		p.Tasks = append(p.Tasks, t)
	}
	if !p.HeldShown {
		return nil
	}
	return s.fillHeld(r, p, waiting.Held)
}

// So many rows does a page of the queue show, and of the bookings that are held.
const (
	queueRows = 50
	heldRows  = 20
)

// heldBookings are the clinics where something is refused or due to be looked at again,
// and the bookings that are set aside there, by their time.
func (s *Server) heldBookings(ctx context.Context, actor identity.Actor) (clinics []identity.OrganizationID, held []scheduling.HeldBooking, err error) {
	if s.d.Scheduling == nil {
		return nil, nil, nil
	}
	if clinics, err = s.d.Scheduling.ClinicsWaiting(ctx, actor); err != nil {
		return nil, nil, err
	}
	for _, o := range clinics {
		of, err := s.d.Scheduling.HeldBookings(ctx, actor, o)
		if err != nil {
			return nil, nil, err
		}
		held = append(held, of...)
	}
	slices.SortStableFunc(held, func(a, b scheduling.HeldBooking) int { return a.Start.Compare(b.Start) })
	return clinics, held, nil
}

// refusedSubjects are the questions that may be refused now about the people whose tasks
// are shown, and those of some bookings.
func (s *Server) refusedSubjects(ctx context.Context, actor identity.Actor, clinics []identity.OrganizationID, tasks []credentialing.QueueItem, held []scheduling.HeldBooking) ([]credentialing.Subject, error) {
	var people []identity.PersonID
	for _, t := range tasks {
		if t.Pack == "" && !slices.Contains(people, t.Person) {
			people = append(people, t.Person)
		}
	}
	var out []credentialing.Subject
	for _, o := range clinics {
		var ids []scheduling.AppointmentID
		for _, h := range held {
			if h.Organization == o {
				ids = append(ids, h.ID)
			}
		}
		if len(people)+len(ids) == 0 {
			continue
		}
		booked, err := s.d.Scheduling.RefusedSubjects(ctx, actor, o, people, ids)
		if err != nil {
			return nil, err
		}
		out = append(out, booked...)
		if s.d.Workspace == nil || len(people) == 0 {
			continue
		}
		open, err := s.d.Workspace.RefusedSubjects(ctx, actor, o, people)
		if err != nil {
			return nil, err
		}
		out = append(out, open...)
	}
	return out, nil
}

func (s *Server) fillHeld(r *http.Request, p *pages.OfficerPage, held []credentialing.Difference) error {
	l := localizer(r)
	ids := make([]identity.PersonID, 0, len(held))
	for _, h := range held {
		ids = append(ids, h.Ask.Person)
	}
	names, err := s.namesOf(r.Context(), ids)
	if err != nil {
		return err
	}
	clinics, err := s.d.Identity.Organizations(r.Context())
	if err != nil {
		return fmt.Errorf("clinics: %w", err)
	}
	for _, h := range held {
		row := pages.BlockedRow{Href: "/credentials/people/" + string(h.Ask.Person), Person: names[h.Ask.Person], Activity: i18n.ID("scope.activity." + string(h.Ask.Activity)),
			At: h.Ask.At, Reason: l.T(i18n.ComplianceUnexplained)}
		for _, o := range clinics {
			if o.ID == h.Organization {
				row.Clinic = o.Name
			}
		}
		if !h.After.Allowed() {
			main, _ := mainReason(h.After)
			if rows := s.reasonRows(l, main); len(rows) > 0 {
				row.Reason = rows[0].Sentence
			}
		}
		p.Held = append(p.Held, row)
	}
	return nil
}
