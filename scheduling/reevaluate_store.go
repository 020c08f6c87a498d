package scheduling

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// markReviews makes due what the oldest recorded changes concern.
func markReviews(ctx context.Context, tx *audit.Tx, most int) (changes int, err error) {
	var marked int
	err = tx.QueryRow(ctx, `select changes, marked from mark_reviews($1, $2)`, tx.Now(), most).Scan(&changes, &marked)
	if err != nil {
		return 0, fmt.Errorf("mark appointments: %w", err)
	}
	return changes, nil
}

func markAllReviews(ctx context.Context, tx *audit.Tx) error {
	_, err := tx.Exec(ctx, `select mark_all_reviews($1)`, tx.Now())
	return err
}

// reviewsDue lists what is due by clinic.
func reviewsDue(ctx context.Context, tx *audit.Tx, most int) (map[identity.OrganizationID][]string, error) {
	rows, _ := tx.Query(ctx, `
		select organization_id::text, appointment_id::text
		from reviews_due($1, $2)`, tx.Now(), most)
	out, err := byClinic(rows)
	if err != nil {
		return nil, fmt.Errorf("appointments due: %w", err)
	}
	return out, nil
}

// lockReviews takes what is still due and free, with the appointments themselves, and
// returns what stood against each. Whoever holds one of the rows keeps it: it stays
// due. A change that is recorded meanwhile waits for this transaction and makes it due
// again.
func lockReviews(ctx context.Context, tx *audit.Tx, ids []string) (map[AppointmentID][]Obstacle, error) {
	rows, err := tx.Query(ctx, `
		select r.appointment_id::text, r.held
		from appointment_review r
		join appointment a on a.organization_id = r.organization_id and a.id = r.appointment_id
		where r.organization_id = $1 and r.appointment_id = any($2::uuid[]) and r.next_change_at <= $3
		for update of r, a skip locked`, tx.Scope.Organization, ids, tx.Now())
	if err != nil {
		return nil, fmt.Errorf("lock reviews: %w", err)
	}
	out := map[AppointmentID][]Obstacle{}
	var id AppointmentID
	var raw []byte
	if _, err := pgx.ForEachRow(rows, []any{&id, &raw}, func() (err error) {
		out[id], err = parseObstacles(raw)
		return err
	}); err != nil {
		return nil, fmt.Errorf("lock reviews: %w", err)
	}
	return out, nil
}

func lockedAppointments(ctx context.Context, tx *audit.Tx, locked map[AppointmentID][]Obstacle) ([]Appointment, error) {
	ids := make([]string, 0, len(locked))
	for id := range locked {
		ids = append(ids, string(id))
	}
	return appointmentsWhere(ctx, tx, `organization_id = @organization and id = any(@ids::uuid[]) order by start_at, id`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "ids": ids})
}

func postponeReview(ctx context.Context, tx *audit.Tx, id AppointmentID, until time.Time) error {
	_, err := tx.Exec(ctx, `
		update appointment_review
		set next_change_at = $3
		where organization_id = $1 and appointment_id = $2`, tx.Scope.Organization, string(id), until)
	if err != nil {
		return fmt.Errorf("postpone review: %w", err)
	}
	return nil
}

// reviewNow makes an appointment due, after a command changed it.
func reviewNow(ctx context.Context, tx *audit.Tx, id AppointmentID) error {
	_, err := tx.Exec(ctx, `
		update appointment_review
		set next_change_at = $3, held = '[]'
		where organization_id = $1 and appointment_id = $2`, tx.Scope.Organization, string(id), tx.Now())
	if err != nil {
		return fmt.Errorf("make review due: %w", err)
	}
	return nil
}

func obstaclesOf(ctx context.Context, tx *audit.Tx, id AppointmentID) ([]Obstacle, error) {
	var raw []byte
	err := tx.QueryRow(ctx, `
		select held
		from appointment_review
		where organization_id = $1 and appointment_id = $2`, tx.Scope.Organization, string(id)).Scan(&raw)
	if err != nil {
		return nil, oneRow(err)
	}
	return parseObstacles(raw)
}

type reviewRow struct {
	id   AppointmentID
	next time.Time
	held []Obstacle
}

type seatDetermination struct {
	seat          SeatID
	determination string
}

type reviewSave struct {
	reviews []reviewRow
	states  []Appointment // with new states, reasons and tasks
	seats   []seatDetermination
}

// saveReviews writes a batch with one statement a table.
func saveReviews(ctx context.Context, tx *audit.Tx, save reviewSave) error {
	n := len(save.reviews)
	id, next, held := make([]string, n), make([]*time.Time, n), make([]string, n)
	for i, r := range save.reviews {
		raw, err := jsonList(r.held)
		if err != nil {
			return err
		}
		id[i], held[i] = string(r.id), string(raw)
		if !r.next.IsZero() {
			next[i] = &r.next
		}
	}
	if _, err := tx.Exec(ctx, `
		update appointment_review r
		set next_change_at = n.next, held = n.held, reviewed_at = @now
		from unnest(@id::uuid[], @next::timestamptz[], @held::jsonb[]) as n(id, next, held)
		where r.organization_id = @organization and r.appointment_id = n.id`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "id": id, "next": next, "held": held, "now": tx.Now()}); err != nil {
		return fmt.Errorf("save reviews: %w", err)
	}
	if n = len(save.states); n > 0 {
		id, state, reason, tasks := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		for i, a := range save.states {
			raw, err := json.Marshal(a.Tasks)
			if err != nil {
				return err
			}
			id[i], state[i], reason[i], tasks[i] = string(a.ID), string(a.State), a.Reason, string(raw)
		}
		if _, err := tx.Exec(ctx, `
			update appointment a
			set state = n.state, reason = n.reason, tasks = n.tasks, version = a.version + 1, changed_at = @now
			from unnest(@id::uuid[], @state::text[], @reason::text[], @tasks::jsonb[]) as n(id, state, reason, tasks)
			where a.organization_id = @organization and a.id = n.id`,
			pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "id": id, "state": state, "reason": reason, "tasks": tasks, "now": tx.Now()}); err != nil {
			return fmt.Errorf("save appointments: %w", err)
		}
	}
	return saveDeterminations(ctx, tx, save.seats)
}

// saveDeterminations notes on what seats rest.
func saveDeterminations(ctx context.Context, tx *audit.Tx, seats []seatDetermination) error {
	n := len(seats)
	if n == 0 {
		return nil
	}
	id, determination := make([]string, n), make([]string, n)
	for i, s := range seats {
		id[i], determination[i] = string(s.seat), s.determination
	}
	if _, err := tx.Exec(ctx, `
		update seat s
		set determination_id = n.determination
		from unnest(@id::uuid[], @determination::uuid[]) as n(id, determination)
		where s.organization_id = @organization and s.id = n.id`,
		pgx.StrictNamedArgs{"organization": tx.Scope.Organization, "id": id, "determination": determination}); err != nil {
		return fmt.Errorf("save determinations of seats: %w", err)
	}
	return nil
}

// release frees some people of an appointment and ends their links.
func release(ctx context.Context, tx *audit.Tx, a Appointment, seats []Seat) error {
	ids := make([]string, len(seats))
	for i, s := range seats {
		ids[i] = string(s.ID)
	}
	if _, err := tx.Exec(ctx, `
		update seat
		set released_at = $4
		where organization_id = $1 and appointment_id = $2 and id = any($3::uuid[]) and released_at is null`,
		string(a.Organization), string(a.ID), ids, tx.Now()); err != nil {
		return fmt.Errorf("release seats: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		update invite
		set revoked_at = $4
		where organization_id = $1 and appointment_id = $2 and seat_id = any($3::uuid[]) and revoked_at is null`,
		string(a.Organization), string(a.ID), ids, tx.Now()); err != nil {
		return fmt.Errorf("revoke links: %w", err)
	}
	return nil
}

// saveRebooked writes an appointment that takes place otherwise than planned.
func saveRebooked(ctx context.Context, tx *audit.Tx, a Appointment, rests []seatDetermination) error {
	tasks, err := jsonList(a.Tasks)
	if err != nil {
		return err
	}
	overridden, err := jsonList(a.Overridden)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		update appointment
		set kind = @kind, start_local = @start_local, anchor_zone = @anchor_zone, anchor_person_id = @anchor_person, start_at = @start_at,
			tzdata_version = @tzdata, ical_sequence = @sequence, interpreted = @interpreted, state = @state, reason = @reason, tasks = @tasks,
			override_reason = @override, overridden = @overridden, version = version + 1, changed_at = @now
		where organization_id = @organization and id = @id`,
		pgx.StrictNamedArgs{"id": string(a.ID), "organization": string(a.Organization), "kind": string(a.Kind), "start_local": a.StartLocal.asUTC(),
			"anchor_zone": a.AnchorZone, "anchor_person": string(a.AnchorPerson), "start_at": a.StartAt, "tzdata": a.ZoneVersion, "sequence": a.Sequence,
			"interpreted": pairOrNull(a.Interpreted), "state": string(a.State), "reason": a.Reason, "tasks": tasks, "now": tx.Now(),
			"override": a.Override, "overridden": overridden}); err != nil {
		return fmt.Errorf("save appointment %s: %w", a.ID, err)
	}
	return saveDeterminations(ctx, tx, rests)
}
