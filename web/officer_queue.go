package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/identity"
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
// number of bookings and cases that wait for it, and the bookings that are held.
func (s *Server) fillQueue(r *http.Request, p *pages.OfficerPage, queue []credentialing.QueueItem, names map[identity.PersonID]string) error {
	l, show := localizer(r), r.URL.Query().Get("show")
	subjects, err := s.subjects(r.Context(), actorOf(r))
	if err != nil {
		return fmt.Errorf("what waits for officers: %w", err)
	}
	waiting, err := s.d.Credentialing.WaitingFor(r.Context(), actorOf(r), queue, subjects)
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
	p.Shows = append(p.Shows, pages.QueueShow{Href: "/credentials?show=held", Label: l.T(i18n.ComplianceHeld), Count: len(waiting.Held), Current: show == "held"})
	if show == "held" {
		p.Shows[0].Current = false
	}
	for i, q := range queue {
		if !narrow(q, s.now()) {
			continue
		}
		t := officerTask(q, names)
		t.Waiting = waiting.Of[i]
		p.Tasks = append(p.Tasks, t)
	}
	p.HeldShown = p.Shows[0].Current || show == "held"
	if !p.HeldShown {
		return nil
	}
	return s.fillHeld(r, p, waiting.Held)
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
