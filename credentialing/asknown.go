package credentialing

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// PastFile is a person's file on both axes of time: what is true at Valid, as it was
// known at Known.
type PastFile struct {
	Person      identity.PersonID
	Valid       time.Time
	Known       time.Time
	Home        string
	Credentials []PastCredential
	Exclusions  []Exclusion // that count at Valid
	CheckedAt   time.Time   // the last look into exclusion lists known then; zero: none
	Roles       []PastRole
	OwnPlaces   []OwnPlaceState // as they stood at Valid
	Matrix      []MatrixRow     // by place
	Timeline    []RecordEvent
}

// PastCredential is a credential as it was known, and how it stood.
type PastCredential struct {
	Held
	Standing Standing
}

// MatrixRow is what a person may do for patients in one place: an answer for each of
// [Activities], in that order. Where a credential is tied to a facility its patients
// have a row of their own; the row without facility is for everybody else there.
type MatrixRow struct {
	Place    string
	Facility identity.OrganizationID
	Answers  []Determination
}

// RecordEvent is one change of what is on file about a person, and who made it.
type RecordEvent struct {
	What       RecordAct
	At         time.Time         // when it was recorded
	By, Second identity.PersonID // "" by the system
	Credential CredentialID      // "" where none is meant
	Kind       Kind
	Number     string
	Detail     string    // a status, a source, a list, as recorded
	From       time.Time // from when on it is true; zero: it does not say
}

// RecordAct is what was done to a file.
type RecordAct string

// The acts of a timeline.
const (
	ActClaimed   RecordAct = "claimed"
	ActEvidence  RecordAct = "evidence"
	ActAnswered  RecordAct = "answered"
	ActDoubted   RecordAct = "needs_review"
	ActApproved  RecordAct = "approved"
	ActRejected  RecordAct = "rejected"
	ActStatus    RecordAct = "status"
	ActMatched   RecordAct = "matched"
	ActCleared   RecordAct = "cleared"
	ActConfirmed RecordAct = "confirmed"
	ActLists     RecordAct = "lists"
	ActAttested  RecordAct = "attested"
)

// RecordActs are all acts of a timeline.
var RecordActs = []RecordAct{ActClaimed, ActEvidence, ActAnswered, ActDoubted, ActApproved, ActRejected, ActStatus, ActMatched, ActCleared,
	ActConfirmed, ActLists, ActAttested}

// AsKnown answers "was this valid then, as known then?" for all that is on file about
// a person, with what it let them do. Officers ask it of everybody, others of
// themselves. What will be known later nobody can say: that is an *Invalid.
func (s *Service) AsKnown(ctx context.Context, actor identity.Actor, person identity.PersonID, valid, known time.Time, places ...string) (PastFile, error) {
	if !officer(actor) && (actor.Person != person || actor.Guest()) {
		return PastFile{}, ErrNotFound
	}
	f := PastFile{Person: person, Valid: valid.UTC(), Known: known.UTC()}
	err := s.db.Read(ctx, actor.Scope(), func(tx *audit.Tx) error {
		if known.After(tx.Now()) {
			return &Invalid{Field: "known"}
		}
		rules, _, err := s.rulesAsKnown(ctx, tx, valid, known)
		if errors.Is(err, ErrNotYetKnown) { // nobody asked this of any rules then: by those of today
			rules, err = s.rulesAt(valid), nil
		}
		if err != nil {
			return err
		}
		held, err := s.CredentialsOf(ctx, tx, person, known)
		if err != nil {
			return err
		}
		f.Home, f.CheckedAt = held.Home, orZero(held.ExclusionCheckedAt)
		for _, h := range held.List {
			f.Credentials = append(f.Credentials, PastCredential{Held: h, Standing: rules.StandingOf(h, valid)})
		}
		for _, e := range held.Exclusions {
			if e.active(valid) {
				f.Exclusions = append(f.Exclusions, e)
			}
		}
		if f.Roles, err = selectRolesKnown(ctx, tx, person, valid, known); err != nil {
			return err
		}
		if f.OwnPlaces, err = ownPlacesKnown(ctx, tx, rules, held, valid, known); err != nil {
			return err
		}
		f.Matrix = s.matrix(rules, held, valid, known, places)
		f.Timeline, err = selectTimeline(ctx, tx, person, known)
		return err
	})
	return f, err
}

// matrix answers for each place that the person has to do with, of a case that lacks
// nothing a case can bring: what is refused is refused because of the person, the
// place or the time.
func (s *Service) matrix(rules *RuleSet, held Credentials, valid, known time.Time, places []string) []MatrixRow {
	if held.Home != "" {
		places = append(places, held.Home)
	}
	for _, h := range held.List {
		if h.Jurisdiction != "" {
			places = append(places, h.Jurisdiction)
		}
		for _, t := range h.Territories {
			if _, ok := rules.places[t]; ok {
				places = append(places, t)
			}
		}
	}
	var out []MatrixRow
	for _, place := range sortedSet(places) {
		for _, facility := range facilitiesIn(held, place) {
			row := MatrixRow{Place: place, Facility: identity.OrganizationID(facility)}
			for _, a := range Activities {
				q := wholeCase(rules, held, a, place, valid, known, s.accepted(known))
				q.Case.Facility = facility
				row.Answers = append(row.Answers, Evaluate(q, held))
			}
			out = append(out, row)
		}
	}
	return out
}

// facilitiesIn are "" and the facilities to which what a person holds in a place is tied.
func facilitiesIn(held Credentials, place string) []string {
	out := []string{""}
	for _, h := range held.List {
		if h.Facility != "" && (h.Jurisdiction == place || h.Jurisdiction == country(place)) {
			out = append(out, h.Facility)
		}
	}
	return sortedSet(out)
}

func (s *Service) accepted(at time.Time) bool { return s.accept != nil && at.Before(s.accept.Until) }

// wholeCase asks about a case that brings all that a case can bring. Signing is asked
// of one's own case, all else of another licensed physician's.
func wholeCase(rules *RuleSet, held Credentials, a Activity, place string, at, known time.Time, accept bool) Question {
	video, days := "live-video", int64(0)
	q := Question{At: at.UTC(), DecidedAt: known.UTC(), Mode: Plan, Activity: a, Places: []string{place}, AcceptUnverified: accept, Rules: rules,
		Case: CaseFacts{LocationConfirmed: Yes(), IdentityConfirmed: Yes(), Languages: []string{}, Interpreter: Yes(), Modality: &video,
			FirstContact: No(), ControlledSubstance: No(), PriorInPerson: Yes(), FacilityLicensed: Yes(), InstitutionAgreement: Yes(),
			LongTerm: Yes(), DaysSinceInPerson: &days},
		Transfer: &Transfer{From: country(place), To: country(held.Home)}}
	for _, c := range []string{"overseas-transfer", "remote-only-explained", "share-with-specialist", "telehealth"} {
		q.Consents = append(q.Consents, Consent{Type: c, Recorded: at.UTC()})
	}
	local := LocalFacts{ID: "local", Requested: Yes(), Present: Yes(), FinalAuthority: Yes(), Signed: Yes(), Licenses: []Held{{ID: "local", Kind: KindLicense,
		Jurisdiction: place, Status: []StatusFrom{{StatusActive, at.UTC()}}, Activities: []Activity{},
		Verified: &Verified{Method: methodPrimary, At: at.UTC()}}}}
	if a == SignDecision {
		local.ID, local.Licenses = held.Person, nil
		for _, h := range held.List {
			if h.Kind == KindLicense && h.Jurisdiction == place {
				local.Licenses = append(local.Licenses, h)
			}
		}
	}
	q.Local = &local
	return q
}

// selectTimeline reads who changed what, the last first.
func selectTimeline(ctx context.Context, tx *audit.Tx, person identity.PersonID, known time.Time) ([]RecordEvent, error) {
	rows, err := tx.Query(ctx, `
		select e.act, e.at, e.actor, e.second, e.credential_id, coalesce(c.kind, ''), coalesce(c.number, ''), e.detail, e.from_at
		from (
			select 'claimed' as act, lower(cl.known) as at, cl.entered_by as actor, null::uuid as second, cl.credential_id, '' as detail,
				null::timestamptz as from_at, cl.id
			from credential_claim cl
			join credential x on x.id = cl.credential_id
			where x.person_id = @person and not isempty(cl.known)
			union all
			select 'evidence', ce.recorded_at, ce.captured_by, null, ce.credential_id, ce.source, null, ce.id
			from credential_evidence ce
			join credential x on x.id = ce.credential_id
			where x.person_id = @person
			union all
			select v.state, lower(v.known), coalesce(v.approver_id, v.verifier_id), null, v.credential_id,
				case when v.result_reason <> '' then v.result_reason else v.source end, null, v.id
			from verification v
			where v.subject_id = @person and not isempty(v.known)
			union all
			select 'status', s.recorded_at, s.reported_by, s.confirmed_by, s.credential_id, s.status, s.from_at, s.id
			from credential_status s
			where s.subject_id = @person
			union all
			select 'matched', m.recorded_at, m.reported_by, null, null, m.list || ' ' || m.entry, m.from_at, m.id
			from exclusion m
			where m.person_id = @person
			union all
			select d.decision, d.recorded_at, d.proposed_by, d.confirmed_by, null, d.reason, null, d.id
			from exclusion_decision d
			where d.subject_id = @person
			union all
			select 'lists', k.recorded_at, k.checked_by, null, null, array_to_string(k.lists, ', '), k.checked_at, k.id
			from exclusion_check k
			where k.person_id = @person
			union all
			select 'attested', a.signed_at, a.person_id, null, null, a.kind, null, a.id
			from attestation a
			where a.person_id = @person) e
		left join credential c on c.id = e.credential_id
		where e.at <= @known
		order by e.at desc, e.id desc`, pgx.StrictNamedArgs{"person": string(person), "known": known})
	if err != nil {
		return nil, mapped("read timeline", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (RecordEvent, error) {
		var e RecordEvent
		var by, second, credential *string
		var from *time.Time
		err := row.Scan(&e.What, &e.At, &by, &second, &credential, &e.Kind, &e.Number, &e.Detail, &from)
		e.At, e.From = e.At.UTC(), orZero(from)
		e.By, e.Second, e.Credential = identity.PersonID(text(by)), identity.PersonID(text(second)), CredentialID(text(credential))
		return e, err
	})
	return slices.Clip(all), mapped("read timeline", err)
}
