package sessions_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing"
	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// line is one question that rests on a row: of whom, for what, when.
type line struct {
	kind, id string
	ask      credentialing.Ask
}

func (l line) key() string {
	return fmt.Sprintf("%s %s %s %s", l.kind, l.id, l.ask.Person, l.ask.Activity)
}

// stored are the questions of each booking to come and each open case, read row by row and
// put together one at a time: what the lists of both rooms must come to.
func (w *world) stored() (out []line) {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx, w.pg.AdminURL)
	w.ok(err)
	defer conn.Close(w.ctx)
	now := w.clock()
	type row struct {
		kind, id, cause, person, role, act string
		from, to                           time.Time
		interpreted                        bool
	}
	rows, err := conn.Query(w.ctx, `
		select 'appointment', a.id::text, a.case_id::text, s.person_id::text, s.role, a.kind, a.start_at, a.start_at + a.duration, a.interpreted is not null
		from appointment a
		join seat s on s.appointment_id = a.id
		where a.start_at > $1 and a.state in ('pending', 'booked', 'needs_attention') and s.released_at is null and s.role in ('local_physician', 'specialist')
		union all
		select 'case', c.id::text, c.id::text, m.person_id::text, m.role, 'advise_physician', $1, $1, false
		from clinical_case c
		join case_member m on m.case_id = c.id and m.until_at is null
		where c.state in ('submitted', 'triaged', 'assigned', 'advised', 'returned', 'declined')
		  and (m.role = 'responsible' or m.role = 'specialist' and c.state = 'assigned')`, now)
	w.ok(err)
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (x row, err error) {
		err = r.Scan(&x.kind, &x.id, &x.cause, &x.person, &x.role, &x.act, &x.from, &x.to, &x.interpreted)
		return x, err
	})
	w.ok(err)
	special := map[string]identity.PersonID{}
	for _, x := range list {
		if x.role == "specialist" {
			special[x.kind+x.id] = identity.PersonID(x.person)
		}
	}
	w.ok(w.db.Read(w.ctx, audit.Scope{Organization: string(w.nairobi)}, func(tx *audit.Tx) error {
		for _, x := range list {
			cc, err := w.cases.ContextTx(w.ctx, tx, workspace.CaseID(x.cause), special[x.kind+x.id])
			if err != nil {
				return err
			}
			ask := credentialing.Ask{Person: identity.PersonID(x.person), Activity: credentialing.Activity(x.act), At: x.from.UTC(), Mode: credentialing.Plan, Case: cc}
			if x.role != "specialist" {
				ask.Activity = credentialing.SignDecision
			}
			if x.kind == "appointment" {
				ask.Through = x.to.UTC()
				if x.interpreted && ask.Case.Interpreter == nil {
					ask.Case.Interpreter = credentialing.Yes()
				}
				if ask.Case.Modality == "" {
					ask.Case.Modality = "live-video"
				}
			}
			out = append(out, line{x.kind, x.id, ask})
		}
		return nil
	}))
	return out
}

// answers evaluates each question alone.
func (w *world) answers(list []line) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	w.ok(w.db.Read(w.ctx, audit.Scope{Organization: string(w.nairobi)}, func(tx *audit.Tx) error {
		for _, l := range list {
			d, err := w.creds.Judge(w.ctx, tx, l.ask)
			if err != nil {
				return err
			}
			if _, twice := out[l.key()]; twice {
				return fmt.Errorf("%s stands twice", l.key())
			}
			out[l.key()] = fmt.Sprint(d.Decision, d.Conditions)
		}
		return nil
	}))
	return out
}

// kenya is Kenya's pack of another version with rules more, where each %s is a citation.
func kenya(t *testing.T, version string, rules ...string) []byte {
	t.Helper()
	file := string(credentialing.Embedded()["KE.yaml"])
	_, cites, ok := strings.Cut(file, "citations:\n  ")
	cite, _, found := strings.Cut(cites, ":")
	_, was, versioned := strings.Cut(file, `version: "`)
	was, _, _ = strings.Cut(was, `"`)
	if !ok || !found || !versioned {
		t.Fatal("the pack is written otherwise now")
	}
	out := strings.TrimRight(strings.Replace(file, was, version, 1), "\n") + "\n"
	for i, r := range rules {
		out += fmt.Sprintf("  - {id: KE-%d, %s, text: \"A rule of this test.\", confidence: secondary, cites: [%s], verified: {state: unverified-starter, by: null}}\n", 900+i, r, cite)
	}
	return []byte(out)
}

// openCase makes a case of Dr Otieno's that goes as far as asked.
func (w *world) openCase(place string, confirm bool, upTo workspace.State) workspace.CaseID {
	w.t.Helper()
	otieno := w.actors["otieno"]
	id := got(w.cases.Create(w.ctx, otieno, workspace.NewCase{Specialty: "cardiology", Urgency: workspace.Soon, Place: place, Zone: "Africa/Nairobi", Languages: []string{"en"},
		Patient:           workspace.Pseudonym{Initials: "A.B.", Sex: "male", BirthYear: 1980},
		Identity:          workspace.PatientIdentity{Name: "A B", Record: uuid.NewString()},
		IdentityConfirmed: true,
		Clinical: workspace.Clinical{Language: "en", Title: "Murmur", History: "Breathless.", Findings: "Loud", Medication: "none",
			Question: workspace.Question{Asked: "What?", Tried: "Rest", Feared: "Worse", ByWhen: "a week"}}}))(w)
	if confirm {
		w.ok(w.cases.ConfirmPlace(w.ctx, otieno, id, place, "asked_by_phone"))
	}
	if upTo == workspace.Draft {
		return id
	}
	for _, p := range []workspace.Purpose{workspace.Advice, workspace.RecordSharing} {
		req := workspace.ConsentRequest{Purpose: p, Giver: workspace.Giver{Kind: "patient"}, How: workspace.SpokenWitnessed, Language: "en",
			Receiver: w.actors["tremblay"].Person, Destination: "CA"}
		if p == workspace.RecordSharing {
			req.Classes = []workspace.Class{workspace.ClassHistory}
		}
		got(w.cases.RecordConsent(w.ctx, otieno, id, req))(w)
	}
	w.ok(w.cases.Submit(w.ctx, otieno, id))
	if upTo == workspace.Assigned {
		w.ok(w.cases.Assign(w.ctx, otieno, id, w.actors["tremblay"].Person))
	}
	return id
}

// TestReportBeforePublishingIsThatOfTheRowsOnFile holds the report of an edition, made of
// what both rooms list, against each stored booking and case evaluated alone before it is
// published and after.
func TestReportBeforePublishingIsThatOfTheRowsOnFile(t *testing.T) {
	w := newWorld(t)
	w.openCase("KE", true, workspace.Draft)
	w.openCase("KE", true, workspace.Submitted)
	w.openCase("KE", false, workspace.Submitted)
	advised := w.openCase("KE", true, workspace.Assigned)
	w.openCase("UG", true, workspace.Submitted) // of no pack
	answer := got(w.visits.Search(w.ctx, w.actors["otieno"], scheduling.SearchRequest{Case: scheduling.CaseRef(advised), Kind: scheduling.Advice,
		Specialist: w.actors["tremblay"].Person}))(w)
	if len(answer.Slots) == 0 {
		t.Fatalf("no slot: %+v", answer.WhyNot)
	}
	for i, at := range []int{0, len(answer.Slots) / 2, len(answer.Slots) - 1} {
		a := got(w.visits.Book(w.ctx, w.actors["otieno"], scheduling.BookRequest{Key: uuid.NewString(), Case: scheduling.CaseRef(advised), Kind: scheduling.Advice,
			Specialist: w.actors["tremblay"].Person, Start: answer.Slots[at].Start}))(w)
		if i == 1 { // one that is canceled is in no report
			got(w.visits.Cancel(w.ctx, w.actors["otieno"], a.ID, a.Version, scheduling.CancelReasons[0]))(w)
		}
	}
	grace, samuel := w.actors["wanjiru"], w.actors["kiptoo"]
	changed := 0
	for n, rules := range [][]string{
		{`effect: forbid, activities: [joint_video_visit], when: [data_crosses_border]`},
		{`effect: forbid, activities: [sign_decision], when: [first_contact]`},
		{`effect: forbid, activities: [prescribe_or_order], when: [first_contact]`}, // of what nothing rests on
		nil, // and all is as it was
		{`effect: forbid, activities: ["*"], when: [{not: {consent: telehealth}}]`},
	} {
		file := kenya(t, fmt.Sprintf("2030-01-01.%d", n+1), rules...)
		draft, found, err := w.creds.DraftEdition(w.ctx, grace, file, time.Time{}, time.Time{})
		if err != nil || len(found) > 0 {
			t.Fatalf("edition %d: %v %v", n, err, found)
		}
		subjects := slices.Concat(got(w.visits.Subjects(w.ctx, samuel, w.nairobi))(w), got(w.cases.Subjects(w.ctx, samuel, w.nairobi))(w))
		rows := w.stored()
		if len(subjects) != len(rows) {
			t.Errorf("edition %d: the rooms list %d questions, the rows come to %d", n, len(subjects), len(rows))
		}
		report := got(w.creds.WhatIf(w.ctx, samuel, draft, subjects))(w)
		before := w.answers(rows)
		w.ok(w.creds.Publish(w.ctx, samuel, draft, subjects, len(report.Differences)))
		after := w.answers(rows)
		var want, said []string
		for _, l := range rows {
			if before[l.key()] != after[l.key()] {
				want = append(want, l.key()+": "+before[l.key()]+" to "+after[l.key()])
			}
		}
		for _, d := range report.Differences {
			said = append(said, line{d.Kind, d.ID, d.Ask}.key()+": "+fmt.Sprint(d.Before.Decision, d.Before.Conditions)+" to "+fmt.Sprint(d.After.Decision, d.After.Conditions))
		}
		slices.Sort(want)
		slices.Sort(said)
		if !slices.Equal(said, want) {
			t.Errorf("edition %d: the report says\n%s\nthe rows come to\n%s", n, strings.Join(said, "\n"), strings.Join(want, "\n"))
		}
		changed += len(want)
	}
	if changed < 8 {
		t.Errorf("%d answers changed in all: the editions of this test say too little", changed)
	}
}
