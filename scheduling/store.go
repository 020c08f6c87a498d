package scheduling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

func strs[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

// jsonList is the JSON of a list, never null.
func jsonList[T any](v []T) ([]byte, error) {
	if v == nil {
		v = []T{}
	}
	return json.Marshal(v)
}

func saveAvailability(ctx context.Context, tx *audit.Tx, person identity.PersonID, a Availability) error {
	rules, err := jsonList(a.Rules)
	if err != nil {
		return err
	}
	overrides, err := jsonList(a.Overrides)
	if err != nil {
		return err
	}
	exdates, err := jsonList(a.Exdates)
	if err != nil {
		return err
	}
	trips, err := jsonList(a.Trips)
	if err != nil {
		return err
	}
	// Version 0 is inserted, any other must be the one that stands.
	tag, err := tx.Exec(ctx, `
		insert into availability as had (person_id, zone, rules, overrides, exdates, trips, buffer_before, buffer_after,
			min_notice, max_ahead, version, changed_at)
		select @person, @zone, @rules, @overrides, @exdates, @trips, @before, @after, @notice, @ahead, 1, @now
		where @version::int = 0 or exists (select from availability where person_id = @person and version = @version)
		on conflict on constraint availability_pkey do update
		set zone = excluded.zone, rules = excluded.rules, overrides = excluded.overrides, exdates = excluded.exdates, trips = excluded.trips,
			buffer_before = excluded.buffer_before, buffer_after = excluded.buffer_after, min_notice = excluded.min_notice,
			max_ahead = excluded.max_ahead, version = had.version + 1, changed_at = excluded.changed_at
		where had.version = @version`,
		pgx.StrictNamedArgs{"person": string(person), "zone": a.Zone, "rules": rules, "overrides": overrides, "exdates": exdates, "trips": trips,
			"before": a.BufferBefore, "after": a.BufferAfter, "notice": a.MinNotice, "ahead": a.MaxAhead, "version": a.Version, "now": tx.Now()})
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return ErrVersion
	}
	return nil
}

func availabilities(ctx context.Context, tx *audit.Tx, people []identity.PersonID) (map[identity.PersonID]Availability, error) {
	rows, err := tx.Query(ctx, availabilitySQL, strs(people))
	if err != nil {
		return nil, fmt.Errorf("read availability: %w", err)
	}
	out := make(map[identity.PersonID]Availability, len(people))
	if err := scanAvailabilities(rows, out); err != nil {
		return nil, fmt.Errorf("read availability: %w", err)
	}
	return out, nil
}

const availabilitySQL = `
	select person_id, zone, rules, overrides, exdates, trips, buffer_before, buffer_after, min_notice, max_ahead, version
	from availability
	where person_id = any($1)`

func scanAvailabilities(rows pgx.Rows, into map[identity.PersonID]Availability) error {
	var person string
	var a Availability
	var rules, overrides, exdates, trips []byte
	_, err := pgx.ForEachRow(rows, []any{&person, &a.Zone, &rules, &overrides, &exdates, &trips, &a.BufferBefore, &a.BufferAfter, &a.MinNotice,
		&a.MaxAhead, &a.Version}, func() error {
		one := a
		if err := errors.Join(json.Unmarshal(rules, &one.Rules), json.Unmarshal(overrides, &one.Overrides), json.Unmarshal(exdates, &one.Exdates), json.Unmarshal(trips, &one.Trips)); err != nil {
			return fmt.Errorf("availability of %s: %w", person, err)
		}
		into[identity.PersonID(person)] = one
		return nil
	})
	return err
}

// busy reads the taken ranges of people, buffers inside, of all clinics. It uses the
// index of the constraint seat_no_overlap.
func busy(ctx context.Context, tx *audit.Tx, people []identity.PersonID, from, to time.Time) (map[identity.PersonID][]Range, error) {
	rows, err := tx.Query(ctx, `
		select person_id, from_unix, to_unix
		from busy($1::uuid[], tstzrange($2, $3), $4)`, strs(people), from, to, tx.Now())
	if err != nil {
		return nil, fmt.Errorf("read busy ranges: %w", err)
	}
	out := make(map[identity.PersonID][]Range, len(people))
	var person string
	var a, b int64
	if _, err := pgx.ForEachRow(rows, []any{&person, &a, &b}, func() error {
		id := identity.PersonID(person)
		out[id] = append(out[id], Range{time.Unix(a, 0).UTC(), time.Unix(b, 0).UTC()})
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read busy ranges: %w", err)
	}
	return out, nil
}

// errClaimed means that another transaction has used the idempotency key just now.
var errClaimed = errors.New("scheduling: key was used just now")

// queueClaim queues the note of an idempotency key. A rival with the same key waits there
// until the first one has ended; then the batch fails with errClaimed.
func queueClaim(b *pgx.Batch, tx *audit.Tx, actor, key string, hash []byte, id AppointmentID) {
	b.Queue(`
		insert into booking_request (organization_id, actor_id, key, request_sha256, appointment_id, at)
		values (@organization, @actor, @key, @hash, @appointment, @now)
		on conflict on constraint booking_request_once do nothing`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "actor": actor, "key": key, "hash": hash, "appointment": string(id), "now": tx.Now()}).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return errClaimed
		}
		return nil
	})
}

// usedKey is what an idempotency key was used for.
type usedKey struct {
	hash        []byte
	appointment AppointmentID // "": the key was not used
}

// queueKey queues the question what a key of the scope's clinic was used for.
func queueKey(b *pgx.Batch, tx *audit.Tx, actor, key string, into *usedKey) {
	b.Queue(`
		select request_sha256, appointment_id::text
		from booking_request
		where organization_id = $1 and actor_id = $2 and key = $3`, tx.Scope.Organization, actor, key).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&into.hash, &into.appointment); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil
	})
}

func keyUsed(ctx context.Context, tx *audit.Tx, actor, key string) (used usedKey, err error) {
	var b pgx.Batch
	queueKey(&b, tx, actor, key, &used)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return used, fmt.Errorf("read booking key: %w", err)
	}
	return used, nil
}

func queueAppointment(b *pgx.Batch, a Appointment) error {
	tasks, err := jsonList(a.Tasks)
	if err != nil {
		return err
	}
	overridden, err := jsonList(a.Overridden)
	if err != nil {
		return err
	}
	b.Queue(`
		insert into appointment (id, organization_id, kind, case_id, start_local, anchor_zone, anchor_person_id, start_at, duration,
			tzdata_version, ical_uid, ical_sequence, interpreted, state, reason, tasks, note, version, created_by, created_at, changed_at,
			override_reason, overridden)
		values (@id, @organization, @kind, @case, @start_local, @anchor_zone, @anchor_person, @start_at, @duration,
			@tzdata, @uid, @sequence, @interpreted, @state, @reason, @tasks, @note, @version, @created_by, @created_at, @created_at,
			@override, @overridden)`,
		pgx.StrictNamedArgs{"id": string(a.ID), "organization": string(a.Organization), "kind": string(a.Kind), "case": null(a.Case),
			"start_local": a.StartLocal.asUTC(), "anchor_zone": a.AnchorZone, "anchor_person": string(a.AnchorPerson), "start_at": a.StartAt,
			"duration": a.Duration, "tzdata": a.ZoneVersion, "uid": a.UID, "sequence": a.Sequence, "interpreted": pairOrNull(a.Interpreted),
			"state": string(a.State), "reason": a.Reason, "tasks": tasks, "note": a.Note, "version": a.Version, "created_by": null(a.CreatedBy), "created_at": a.CreatedAt,
			"override": a.Override, "overridden": overridden})
	return nil
}

// asUTC writes a wall time as the instant at which a clock in UTC reads it, which is
// how pgx writes a timestamp without zone.
func (w Wall) asUTC() time.Time { return time.Unix(w.seconds(), 0).UTC() }

func null[T ~string](id T) any {
	if id == "" {
		return nil
	}
	return string(id)
}

func pairOrNull(p [2]string) any {
	if p == ([2]string{}) {
		return nil
	}
	return p[:]
}

// insertSeats takes all seats in one statement, people in sorted order, and returns
// how many it could take. Rivals for one of the people wait for each other in the
// same order and write nothing while they wait: no deadlock (design section 6).
func insertSeats(ctx context.Context, tx *audit.Tx, a Appointment) (took int64, err error) {
	var b pgx.Batch
	queueSeats(&b, tx, a, func(n int64) error { took = n; return nil })
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return 0, fmt.Errorf("insert seats: %w", err)
	}
	return took, nil
}

// queueAllSeats queues what insertSeats does; a batch that could not take all seats fails
// with ErrSlotTaken.
func queueAllSeats(b *pgx.Batch, tx *audit.Tx, a Appointment) {
	all := int64(len(a.Seats))
	queueSeats(b, tx, a, func(took int64) error {
		if took < all {
			return ErrSlotTaken
		}
		return nil
	})
}

// queueSeats queues what insertSeats does; then is given how many it took.
func queueSeats(b *pgx.Batch, tx *audit.Tx, a Appointment, then func(took int64) error) {
	n := len(a.Seats)
	id, person, role := make([]string, n), make([]string, n), make([]string, n)
	required, from, to := make([]bool, n), make([]time.Time, n), make([]time.Time, n)
	response, determination, pair := make([]string, n), make([]*string, n), make([]*string, n)
	responded, leg := make([]*time.Time, n), make([]int, n)
	for i, s := range a.Seats {
		id[i], person[i], role[i], required[i] = string(s.ID), string(s.Person), string(s.Role), s.Required
		from[i], to[i], response[i], leg[i] = s.During.Start, s.During.End, string(s.Response), s.Leg
		if s.Determination != "" {
			determination[i] = &s.Determination
		}
		if s.Pair != ([2]string{}) {
			p := s.Pair[0] + " " + s.Pair[1] // tags have no blanks; arrays of arrays cannot be unnested
			pair[i] = &p
		}
		if s.Response != NeedsAction {
			now := tx.Now()
			responded[i] = &now
		}
	}
	kind, expires := "booking", (*time.Time)(nil)
	if a.State == StateHeld {
		kind, expires = "hold", &a.HeldUntil
	}
	queueLapse(b, tx, person)
	b.Queue(`
		insert into seat (id, organization_id, appointment_id, person_id, role, required, during, kind, expires_at, response, responded_at,
			determination_id, pair, leg)
		select p.id, @organization, @appointment, p.person_id, p.role, p.required, tstzrange(p.starts, p.ends), @kind, @expires, p.response,
			p.responded_at, p.determination_id, string_to_array(p.pair, ' '), p.leg
		from unnest(@id::uuid[], @person::uuid[], @role::text[], @required::bool[], @starts::timestamptz[], @ends::timestamptz[],
				@response::text[], @responded::timestamptz[], @determination::uuid[], @pair::text[], @leg::int[])
			as p(id, person_id, role, required, starts, ends, response, responded_at, determination_id, pair, leg)
		order by p.person_id
		on conflict on constraint seat_no_overlap do nothing`,
		pgx.StrictNamedArgs{"organization": string(a.Organization), "appointment": string(a.ID), "id": id, "person": person, "role": role,
			"required": required, "starts": from, "ends": to, "response": response, "responded": responded, "determination": determination,
			"pair": pair, "leg": leg, "kind": kind, "expires": expires}).Exec(func(tag pgconn.CommandTag) error {
		return then(tag.RowsAffected())
	})
}

const appointmentColumns = `
	id::text, organization_id::text, kind, coalesce(case_id::text, ''), start_local, anchor_zone, anchor_person_id::text, start_at, duration,
	tzdata_version, ical_uid, ical_sequence, interpreted, state, reason, tasks, note, version, coalesce(created_by::text, ''), created_at, override_reason, overridden`

func scanAppointment(row pgx.CollectableRow) (Appointment, error) {
	var a Appointment
	var local time.Time
	var interpreted []string
	var tasks, overridden []byte
	err := row.Scan(&a.ID, &a.Organization, &a.Kind, &a.Case, &local, &a.AnchorZone, &a.AnchorPerson, &a.StartAt, &a.Duration,
		&a.ZoneVersion, &a.UID, &a.Sequence, &interpreted, &a.State, &a.Reason, &tasks, &a.Note, &a.Version, &a.CreatedBy, &a.CreatedAt,
		&a.Override, &overridden)
	if err != nil {
		return a, err
	}
	a.StartLocal = WallAt(time.UTC, local)
	a.StartAt, a.CreatedAt = a.StartAt.UTC(), a.CreatedAt.UTC()
	if len(interpreted) == 2 {
		a.Interpreted = [2]string(interpreted)
	}
	return a, errors.Join(json.Unmarshal(tasks, &a.Tasks), json.Unmarshal(overridden, &a.Overridden))
}

// appointmentsWhere reads appointments of the scope's clinic with their seats, by
// start. where is a condition of this file; it may use the named arguments.
func appointmentsWhere(ctx context.Context, tx *audit.Tx, where string, args pgx.StrictNamedArgs) ([]Appointment, error) {
	rows, err := tx.Query(ctx, `select `+appointmentColumns+` from appointment where `+where, args)
	if err != nil {
		return nil, fmt.Errorf("read appointments: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanAppointment)
	if err != nil {
		return nil, fmt.Errorf("read appointments: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	at := make(map[AppointmentID]int, len(list))
	ids := make([]string, len(list))
	for i, a := range list {
		at[a.ID], ids[i] = i, string(a.ID)
	}
	// Index seat_once for live seats; released ones belong to appointments that are
	// over and are few.
	rows, err = tx.Query(ctx, `
		select appointment_id::text, id::text, person_id::text, role, required, lower(during), upper(during), response,
			coalesce(determination_id::text, ''), pair, leg, attested_at, released_at is not null, expires_at
		from seat
		where organization_id = $1 and appointment_id = any($2)
		order by id`, tx.Scope.Organization, ids)
	if err != nil {
		return nil, fmt.Errorf("read seats: %w", err)
	}
	var of AppointmentID
	var s Seat
	var pair []string
	var attested, expires *time.Time
	if _, err := pgx.ForEachRow(rows, []any{&of, &s.ID, &s.Person, &s.Role, &s.Required, &s.During.Start, &s.During.End, &s.Response,
		&s.Determination, &pair, &s.Leg, &attested, &s.Released, &expires}, func() error {
		one := s
		if expires != nil {
			list[at[of]].HeldUntil = expires.UTC()
		}
		one.Pair = [2]string{}
		if len(pair) == 2 {
			one.Pair = [2]string(pair)
		}
		if attested != nil {
			one.AttestedAt = attested.UTC()
		}
		one.During = Range{one.During.Start.UTC(), one.During.End.UTC()}
		list[at[of]].Seats = append(list[at[of]].Seats, one)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read seats: %w", err)
	}
	return list, nil
}

// appointment reads one appointment of the scope's clinic; lock takes its row until
// the transaction ends.
func appointment(ctx context.Context, tx *audit.Tx, id AppointmentID, lock bool) (Appointment, error) {
	where := `organization_id = @organization and id = @id`
	if lock {
		where += ` for update`
	}
	list, err := appointmentsWhere(ctx, tx, where, pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "id": string(id)})
	if err != nil {
		return Appointment{}, err
	}
	if len(list) == 0 {
		return Appointment{}, ErrNotFound
	}
	return list[0], nil
}

// clinicOfSeat tells which clinic seated the scope's person in an appointment. The
// row policy shows a person's own seats wherever they are. Index seat_person.
func clinicOfSeat(ctx context.Context, tx *audit.Tx, id AppointmentID, person identity.PersonID) (org identity.OrganizationID, err error) {
	err = tx.QueryRow(ctx, `
		select organization_id::text
		from seat
		where person_id = $1 and appointment_id = $2
		order by released_at desc nulls first
		limit 1`, string(person), string(id)).Scan(&org)
	return org, oneRow(err)
}

// seatClinic is clinicOfSeat by the seat's own id.
func seatClinic(ctx context.Context, tx *audit.Tx, seat SeatID) (org identity.OrganizationID, id AppointmentID, err error) {
	err = tx.QueryRow(ctx, `
		select organization_id::text, appointment_id::text
		from seat
		where id = $1`, string(seat)).Scan(&org, &id)
	return org, id, oneRow(err)
}

func oneRow(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// ownAppointments lists by clinic the appointments in which a person has a seat that
// touches the range. Index of seat_no_overlap for live seats, seat_person otherwise.
func ownAppointments(ctx context.Context, tx *audit.Tx, person identity.PersonID, from, to time.Time) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `
		select organization_id::text, appointment_id::text
		from seat
		where person_id = $1 and during && tstzrange($2, $3)`, string(person), from, to)
	out, err := byClinic(rows)
	if err != nil {
		return nil, fmt.Errorf("read own seats: %w", err)
	}
	return out, nil
}

// saveState writes what a command changed of an appointment that it has locked, and
// returns it with its new version.
func saveState(ctx context.Context, tx *audit.Tx, a Appointment) (Appointment, error) {
	_, err := tx.Exec(ctx, `
		update appointment
		set state = @state, reason = @reason, ical_sequence = @sequence, version = version + 1, changed_at = @now
		where organization_id = @organization and id = @id`,
		pgx.StrictNamedArgs{"state": string(a.State), "reason": a.Reason, "sequence": a.Sequence, "now": tx.Now(),
			"organization": string(a.Organization), "id": string(a.ID)})
	if err != nil {
		return a, fmt.Errorf("save appointment %s: %w", a.ID, err)
	}
	a.Version++
	return a, nil
}

// releaseSeats frees everybody of an appointment and ends its links.
func releaseSeats(ctx context.Context, tx *audit.Tx, a Appointment) error {
	if _, err := tx.Exec(ctx, `
		update seat
		set released_at = $3
		where organization_id = $1 and appointment_id = $2 and released_at is null`, string(a.Organization), string(a.ID), tx.Now()); err != nil {
		return fmt.Errorf("release seats: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		update invite
		set revoked_at = $3
		where organization_id = $1 and appointment_id = $2 and revoked_at is null`, string(a.Organization), string(a.ID), tx.Now()); err != nil {
		return fmt.Errorf("revoke links: %w", err)
	}
	return nil
}

// releaseSeat frees one person of an appointment.
func releaseSeat(ctx context.Context, tx *audit.Tx, a Appointment, seat SeatID) error {
	_, err := tx.Exec(ctx, `
		update seat
		set released_at = $4
		where organization_id = $1 and appointment_id = $2 and id = $3`, string(a.Organization), string(a.ID), string(seat), tx.Now())
	if err != nil {
		return fmt.Errorf("release seat: %w", err)
	}
	return nil
}

// answerSeat notes the response of a person, and the attestation that came with it.
func answerSeat(ctx context.Context, tx *audit.Tx, a Appointment, seat SeatID, r Response, attested bool) error {
	var at any
	if attested {
		at = tx.Now()
	}
	if _, err := tx.Exec(ctx, `
		update seat
		set response = $4, responded_at = $5, attested_at = coalesce($6, attested_at)
		where organization_id = $1 and appointment_id = $2 and id = $3`,
		string(a.Organization), string(a.ID), string(seat), string(r), tx.Now(), at); err != nil {
		return fmt.Errorf("answer seat: %w", err)
	}
	return nil
}

type invite struct {
	id          string
	appointment AppointmentID
	seat        SeatID
	expires     time.Time
	redeemed    bool
	revoked     bool
}

func insertInvite(ctx context.Context, tx *audit.Tx, id string, a Appointment, seat SeatID, hash []byte, expires time.Time) error {
	_, err := tx.Exec(ctx, `
		insert into invite (id, organization_id, appointment_id, seat_id, token_sha256, created_at, expires_at)
		values (@id, @organization, @appointment, @seat, @hash, @now, @expires)`,
		pgx.StrictNamedArgs{"id": id, "organization": string(a.Organization), "appointment": string(a.ID), "seat": string(seat), "hash": hash,
			"now": tx.Now(), "expires": expires})
	if err != nil {
		return fmt.Errorf("insert invite: %w", err)
	}
	return nil
}

// inviteOf finds a link of the scope's clinic by its hash; lock lets one redeem it.
func inviteOf(ctx context.Context, tx *audit.Tx, hash []byte, lock bool) (invite, error) {
	q := []string{`
		select id::text, appointment_id::text, seat_id::text, expires_at, redeemed_at is not null, revoked_at is not null
		from invite
		where organization_id = $1 and token_sha256 = $2`}
	if lock {
		q = append(q, `for update`)
	}
	var i invite
	err := tx.QueryRow(ctx, strings.Join(q, " "), tx.Scope.Organization, hash).
		Scan(&i.id, &i.appointment, &i.seat, &i.expires, &i.redeemed, &i.revoked)
	return i, oneRow(err)
}

func redeemInvite(ctx context.Context, tx *audit.Tx, id string) error {
	_, err := tx.Exec(ctx, `
		update invite
		set redeemed_at = $3
		where organization_id = $1 and id = $2`, tx.Scope.Organization, id, tx.Now())
	return err
}
