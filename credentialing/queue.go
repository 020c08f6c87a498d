package credentialing

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// QueueItem is something an officer should do next.
type QueueItem struct {
	Task         string // see the Task constants
	Person       identity.PersonID
	Credential   CredentialID
	Exclusion    ExclusionID
	Kind         Kind
	Jurisdiction string
	Number       string
	Pack         string    // code, of TaskPack and TaskConfirm
	Relied       Relied    // what rests on the pack's rules
	Since        time.Time // when it began to wait, or when a credential ends
	Ends         time.Time // of a credential that ends; zero if it does not
	claimed      Moment    // the end that the current claim gives
	// Blocked tells why the reader may not do it: they are the subject, or the one
	// who did the first half.
	Blocked bool
	// ByLink tells that the claim came by an upload link, without sign-in.
	ByLink bool
}

// The tasks of a queue, by harm.
const (
	TaskEvidence  = "evidence"  // a file of evidence is missing or was altered
	TaskMatch     = "match"     // an undecided match on a sanction list
	TaskOverdue   = "overdue"   // past its re-verification date
	TaskReinstate = "reinstate" // good news that waits for a second officer
	TaskApprove   = "approve"   // answered by the source, waits for approval
	TaskReview    = "review"    // the source answered something else
	TaskVerify    = "verify"    // claimed, nobody has asked the source
	TaskSharing   = "sharing"   // what is shared of a privilege by proxy is to be reviewed
	TaskExpiring  = "expiring"  // ends within 90 days
	TaskCheckList = "lists"     // exclusion lists not looked at for 25 days
	TaskPack      = "pack"      // a confirmed pack is to be looked at again
	TaskConfirm   = "confirm"   // nobody has confirmed the rules that something rests on
)

var taskOrder = []string{TaskMatch, TaskEvidence, TaskOverdue, TaskPack, TaskReinstate, TaskApprove, TaskReview, TaskVerify, TaskSharing, TaskExpiring, TaskCheckList, TaskConfirm}

// expiringSoon and listsSoon are how far ahead the queue looks: 90 days are the
// first of NCQA's reminders; 25 days leave a week before ZZ-011 stops.
const (
	expiringSoon = 90 * day
	listsSoon    = 25 * day
)

// Queue is what waits for officers, by harm and then by how long it has waited. It
// reads those credentials only about which there may be something to do.
func (s *Service) Queue(ctx context.Context, actor identity.Actor) ([]QueueItem, error) {
	if !officer(actor) {
		return nil, ErrForbidden
	}
	out := []QueueItem{}
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		now := tx.Now()
		ids, people, err := selectToDo(ctx, tx, now)
		if err != nil {
			return err
		}
		if out, err = s.credentialTasks(ctx, tx, actor, ids, people); err != nil {
			return err
		}
		lists, err := selectListsOld(ctx, tx, now)
		if err != nil {
			return err
		}
		packs, err := s.packTasks(ctx, tx, actor)
		if err != nil {
			return err
		}
		matches, err := selectUndecided(ctx, tx, actor)
		out = slices.Concat(out, lists, packs, matches)
		return err
	})
	slices.SortStableFunc(out, func(a, b QueueItem) int {
		if x, y := slices.Index(taskOrder, a.Task), slices.Index(taskOrder, b.Task); x != y {
			return x - y
		}
		if a.Task == TaskConfirm { // by what they mean for people
			return b.Relied.Bookings + b.Relied.Cases - a.Relied.Bookings - a.Relied.Cases
		}
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(string(a.Person)+string(a.Credential), string(b.Person)+string(b.Credential))
	})
	return out, err
}

// credentialTasks are the tasks about credentials, which people hold.
func (s *Service) credentialTasks(ctx context.Context, tx *audit.Tx, actor identity.Actor, ids []string, people []identity.PersonID) ([]QueueItem, error) {
	out := []QueueItem{}
	if len(ids) == 0 {
		return out, nil
	}
	held, err := s.credentialsOf(ctx, tx, tx.Now(), people...)
	if err != nil {
		return nil, err
	}
	everybody := Credentials{}
	for _, c := range held {
		everybody.List = append(everybody.List, c.List...)
	}
	views, err := s.views(ctx, tx, tx.Now(), everybody, `c.id = any($1::uuid[])`, ids)
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		out = append(out, v.tasks(actor, tx.Now())...)
	}
	return out, nil
}

// selectToDo are the credentials about which there may be something to do, and who
// holds them: [CredentialView.tasks] says whether there is, so it may name more, and
// must not name fewer. An end is read from a date or an instant as written, which is
// good to a day and more in any zone.
func selectToDo(ctx context.Context, tx *audit.Tx, now time.Time) (ids []string, people []identity.PersonID, err error) {
	rows, err := tx.Query(ctx, `
		select c.id::text, c.person_id::text
		from credential c
		where c.id in (
			select cl.credential_id -- nobody has asked the source, or nobody has approved
			from credential_claim cl
			left join verification v on v.claim_id = cl.id and v.credential_id = cl.credential_id and v.state = 'approved' and upper_inf(v.known)
			where upper_inf(cl.known) and v.id is null
			union all
			select v.credential_id
			from verification v
			where upper_inf(v.known) and (v.state <> 'approved' or v.next_due <= @now)
			union all
			select e.credential_id -- a file is damaged
			from evidence_fault f
			join credential_evidence e on e.sha256 = f.sha256
			where f.mended_at is null
			union all
			select s.credential_id -- good news that waits
			from credential_status s
			where s.status = 'active' and s.confirmed_by is null
				and not exists (select 1 from credential_status n where n.supersedes = s.id)
			union all
			select cl.credential_id -- it ends, or rests on what ends or is to be reviewed
			from credential_claim cl
			where cl.content->>'valid_to' collate "C" between @ended and @soon or cl.content->'proxy' is not null or cl.content->'terms' is not null)
		order by c.id`, pgx.StrictNamedArgs{"now": now, "ended": now.Add(-3 * day).UTC().Format(time.DateOnly),
		"soon": now.Add(expiringSoon + 3*day).UTC().Format(time.DateOnly)})
	if err != nil {
		return nil, nil, mapped("list what waits", err)
	}
	var id, person string
	seen := map[string]bool{}
	_, err = pgx.ForEachRow(rows, []any{&id, &person}, func() error {
		ids = append(ids, id)
		if !seen[person] {
			seen[person] = true
			people = append(people, identity.PersonID(person))
		}
		return nil
	})
	return ids, people, mapped("list what waits", err)
}

// selectListsOld are those who work by what they hold and were not looked for on the
// exclusion lists of late.
func selectListsOld(ctx context.Context, tx *audit.Tx, now time.Time) ([]QueueItem, error) {
	rows, err := tx.Query(ctx, `
		select c.person_id::text, x.at
		from (select distinct person_id from credential where kind in ('licence', 'registration') and recorded_at <= @now) c
		left join (select person_id, max(checked_at) as at from exclusion_check where recorded_at <= @now group by person_id) x
			on x.person_id = c.person_id
		where x.at is null or x.at < @old`, pgx.StrictNamedArgs{"now": now, "old": now.Add(-listsSoon)})
	if err != nil {
		return nil, mapped("list old checks of exclusions", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (QueueItem, error) {
		q := QueueItem{Task: TaskCheckList}
		var at *time.Time
		err := row.Scan(&q.Person, &at)
		q.Since = orZero(at)
		return q, err
	})
	return out, mapped("list old checks of exclusions", err)
}

// relied tells whether somebody works by what they hold.
func relied(list []Held) bool {
	return slices.ContainsFunc(list, func(h Held) bool { return h.Kind == KindLicense || h.Kind == KindRegistration })
}

// tasks are what an officer should do about a credential.
func (v CredentialView) tasks(actor identity.Actor, now time.Time) (out []QueueItem) {
	item := func(task string, since time.Time, blocked bool) {
		out = append(out, QueueItem{Task: task, Person: v.Person, Credential: v.ID, Kind: v.Kind, Jurisdiction: v.Jurisdiction, Number: v.Number,
			Since: since, Ends: v.Standing.Ends, claimed: v.Claim.ValidTo, Blocked: blocked || v.Person == actor.Person,
			ByLink: v.ByLink})
	}
	switch v.State {
	case StateClaimed, StateRejected:
		item(TaskVerify, v.EnteredAt, false)
	case StateNeedsReview:
		item(TaskReview, v.Verification.AskedAt, false)
	case StateAnswered:
		item(TaskApprove, v.Verification.AskedAt, v.Verification.Verifier == actor.Person)
	}
	if slices.ContainsFunc(v.Evidence, func(e EvidenceView) bool { return e.Fault != "" }) {
		item(TaskEvidence, time.Time{}, false)
	}
	if v.Standing.Overdue {
		item(TaskOverdue, v.Counts.Verified.NextDue, false)
	}
	if v.Standing.Usable && !v.NextReview.IsZero() && v.NextReview.Sub(now) < reviewSoon {
		item(TaskSharing, v.NextReview, false)
	}
	if v.Standing.Usable && !v.Standing.Ends.IsZero() && v.Standing.Ends.Sub(now) < expiringSoon {
		item(TaskExpiring, v.Standing.Ends, false)
	}
	for _, st := range v.Statuses {
		if st.Pending() {
			item(TaskReinstate, st.RecordedAt, st.Reported == actor.Person)
		}
	}
	return out
}
