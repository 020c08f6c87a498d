-- Functions that searches and bookings ask are planned once a connection: one in plain SQL
-- is planned anew at each call (see 00097), which took longer than its answer.

-- +goose Up
-- +goose StatementBegin
create or replace function presence_windows(persons uuid[], span tstzrange, clinic uuid, at timestamptz, minutes int)
    returns table (person_id uuid, from_unix bigint, to_unix bigint, here bool, free bool, late bool, intake_by text)
    language plpgsql stable strict security definer
    set search_path = pg_catalog, public
as $$
#variable_conflict use_column
begin
    return query
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
    order by 1, 2;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function fair_hours(persons uuid[], since timestamptz) returns table (person_id uuid, balance int, hard int, visits int)
    language plpgsql stable strict security definer
    set search_path = pg_catalog, public
as $$
#variable_conflict use_column
begin
    return query
    select p.id, coalesce(b.balance, 0)::int, coalesce(l.hard, 0)::int, coalesce(l.visits, 0)::int
    from unnest(persons) as p(id)
    left join lateral (
        select sum(e.weight) as balance from fair_hours_entry e where e.person_id = p.id and e.start_at >= since) b on true
    left join lateral (
        select count(*) filter (where x.weight > 0) as hard, count(*) as visits
        from (select e.weight from fair_hours_entry e where e.person_id = p.id and e.start_at >= since order by e.start_at desc limit 5) x) l on true;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function interpreter_load(persons uuid[], since timestamptz) returns table (person_id uuid, balance int, minutes int)
    language plpgsql stable strict security definer
    set search_path = pg_catalog, public
as $$
#variable_conflict use_column
begin
    return query
    select p.id, coalesce(f.balance, 0)::int, coalesce(l.minutes, 0)::int
    from unnest(persons) as p(id)
    left join lateral (
        select sum(e.weight) as balance from fair_hours_entry e where e.person_id = p.id and e.start_at >= since) f on true
    left join lateral (
        select sum(extract(epoch from upper(s.during) - lower(s.during)) / 60) as minutes
        from seat s
        where s.person_id = p.id and s.released_at is null and s.role = 'interpreter' and s.response = 'accepted'
          and s.during && tstzrange(since, null)) l on true;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function busy(persons uuid[], span tstzrange, at timestamptz)
    returns table (person_id uuid, from_unix bigint, to_unix bigint)
    language plpgsql stable strict security definer
    set search_path = pg_catalog, public
as $$
#variable_conflict use_column
begin
    return query
    select p.id, floor(extract(epoch from lower(s.during)))::bigint, ceil(extract(epoch from upper(s.during)))::bigint
    from unnest(persons) as p(id)
    join lateral (
        select seat.during from seat
        where seat.person_id = p.id and seat.during && span and seat.released_at is null
          and (seat.expires_at is null or seat.expires_at > at)
    ) s on true;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function service_now() returns timestamptz
    language plpgsql stable
    set search_path = pg_catalog, public
as $$
begin
    return coalesce(nullif(current_setting('consilium.now', true), '')::timestamptz, now());
end
$$;
-- +goose StatementEnd
