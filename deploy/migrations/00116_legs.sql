-- How interpreters in relay are asked, leg by leg, and what keeps a visit out of a window.
-- A chair of a visit is given up when nobody is left to ask for its leg and the visit goes
-- another way, through another language or with a crew that a person chose: nobody is
-- asked for it any more, and the visit does not wait for it.

-- +goose Up
alter table interpreter_assignment add column given_up bool not null default false;

-- +goose StatementBegin
create or replace function interpreters_due(at timestamptz, short timestamptz, most int) returns table (organization_id uuid, appointment_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select a.organization_id, a.id
    from appointment a
    where a.state = 'pending' and a.start_at > at
      and (exists (
          select from interpreter_assignment x
          where x.organization_id = a.organization_id and x.appointment_id = a.id and x.start_at = a.start_at and not x.given_up
            and (x.state = 'asked' and x.deadline <= at
                or x.state in ('refused', 'lapsed') and not exists (
                    select from interpreter_assignment y
                    where y.appointment_id = a.id and y.start_at = a.start_at and y.chair = x.chair and y.state in ('asked', 'accepted'))))
        or a.start_at <= short and not exists (
          select from interpreter_alert r where r.appointment_id = a.id and r.start_at = a.start_at))
    order by a.start_at, a.id
    limit most
$$;
-- +goose StatementEnd

-- Three people without a language in common may need three interpreters in a row: one to
-- each from a language between them.
alter table seat drop constraint seat_leg_range;
alter table seat add constraint seat_leg_range check (leg between 0 and 3);
alter table interpreter_assignment drop constraint interpreter_assignment_leg_range;
alter table interpreter_assignment add constraint interpreter_assignment_leg_range check (leg between 0 and 3);

-- presence_windows tells beside that whether it is only too late to place a case in a
-- window, so that nobody is told that it is full.
drop function presence_windows(uuid[], tstzrange, uuid, timestamptz, int);
-- +goose StatementBegin
create function presence_windows(persons uuid[], span tstzrange, clinic uuid, at timestamptz, minutes int)
    returns table (person_id uuid, from_unix bigint, to_unix bigint, here bool, free bool, late bool, intake_by text)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select p.id, extract(epoch from lower(w.during))::bigint, extract(epoch from upper(w.during))::bigint, w.organization_id = clinic,
        case
        when w.organization_id <> clinic then false
        when r.capacity_cases = 0 and r.capacity_minutes = 0 then true
        else (
            select (r.capacity_cases = 0 or count(*) < r.capacity_cases)
               and (r.capacity_minutes = 0 or coalesce(sum(extract(epoch from a.duration) / 60), 0) + minutes <= r.capacity_minutes)
            from seat s
            join appointment a on a.id = s.appointment_id
            where s.person_id = w.person_id and s.organization_id = clinic and s.role = 'specialist' and s.during && w.during
              and s.released_at is null and (s.expires_at is null or s.expires_at > at)
              and a.start_at >= lower(w.during) and a.start_at < upper(w.during))
        end,
        w.organization_id = clinic and r.intake_hours > 0 and at > lower(w.during) - make_interval(hours => r.intake_hours),
        r.intake_by
    from unnest(persons) as p(id)
    join presence_window w on w.person_id = p.id and w.during && span and w.state in ('open', 'moved')
    join presence r on r.id = w.presence_id
    order by 1, 2
$$;
-- +goose StatementEnd
revoke all on function presence_windows(uuid[], tstzrange, uuid, timestamptz, int) from public;
grant execute on function presence_windows(uuid[], tstzrange, uuid, timestamptz, int) to consilium_app;
