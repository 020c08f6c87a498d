package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/consilium-health/consilium/credentialing/audit"
)

// crowdPeople makes n practitioners with a working week each.
func crowdPeople(ctx context.Context, tx *audit.Tx, n int) error {
	_, err := tx.Exec(ctx, `
		insert into person (id, name, language, languages, zone, home, specialty, email, created_at)
		select md5('practitioner ' || i)::uuid, 'Practitioner ' || i, 'en', '{en}', 'UTC', 'KE', 'dermatology', '', $2::timestamptz
		from generate_series(0, $1::int - 1) as i`, n, tx.Now())
	if err != nil {
		return err
	}
	// A person's hours are the person's own to write.
	_, err = tx.Exec(ctx, `
		do $$
		declare
			p record;
		begin
			for p in select id from person where specialty = 'dermatology' loop
				perform set_config('consilium.person', p.id::text, true);
				insert into availability (person_id, zone, rules, overrides, exdates, buffer_before, buffer_after, min_notice, max_ahead, version, changed_at)
				values (p.id, 'Africa/Nairobi', '[{"freq": "weekly", "days": ["MO", "TU", "WE", "TH", "FR"], "start": "08:00", "end": "17:00"}]', '[]', '[]',
					'0', '0', '0', '0', 1, now());
			end loop;
		end
		$$`)
	return err
}

// crowdVisits makes the visits [from, to) of n practitioners, two to a visit.
func crowdVisits(ctx context.Context, tx *audit.Tx, determination string, n, from, to int) error {
	_, err := tx.Exec(ctx, `
		with made as (
			insert into appointment (id, organization_id, kind, start_local, anchor_zone, anchor_person_id, start_at, duration, tzdata_version,
				ical_uid, ical_sequence, state, reason, tasks, note, version, created_at, changed_at)
			select md5('visit ' || i)::uuid, $1, 'advise_physician', at at time zone 'UTC', 'UTC', md5('practitioner ' || (2 * i) % $2)::uuid, at,
				interval '30 min', '', md5('visit ' || i), 0, case when at < $3 then 'fulfilled' else 'booked' end, '', '[]', '', 1, $3, $3
			from generate_series($4::int, $5::int - 1) as i,
				lateral (select date_trunc('hour', $3::timestamptz) + (2 * i / $2 - 20) * interval '26 hours' as at) w
			returning id, start_at)
		insert into seat (id, organization_id, appointment_id, person_id, role, required, during, kind, response, determination_id, leg)
		select gen_random_uuid(), $1, m.id, md5('practitioner ' || (2 * i + k) % $2)::uuid, case k when 0 then 'local_physician' else 'specialist' end, true,
			tstzrange(m.start_at, m.start_at + interval '30 min'), 'booking', 'accepted', $6, 0
		from generate_series($4::int, $5::int - 1) as i, generate_series(0, 1) as k, made m
		where m.id = md5('visit ' || i)::uuid`, tx.Scope.Organization, n, tx.Now(), from, to, determination)
	return err
}

// settle lets the database learn what it holds, as it does by itself within a minute.
// Only the owner of the tables may have it done; to anybody else it is a warning.
func settle(ctx context.Context, owner string) error {
	conn, err := pgx.Connect(ctx, owner)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `vacuum analyze`)
	return errors.Join(err, conn.Close(ctx))
}
