-- The functions that every search and every booking asks are planned once a connection:
-- a function in plain SQL is planned anew at each call, which takes longer than its
-- answer.

-- +goose Up
-- +goose StatementBegin
create or replace function taken(persons uuid[], span tstzrange, at timestamptz)
    returns table (person_id uuid, from_unix bigint, to_unix bigint, sits_from timestamptz, sits_to timestamptz, interprets bool)
    language plpgsql stable strict security definer
    set search_path = pg_catalog, public
as $$
#variable_conflict use_column
begin
    return query
    select p.id, floor(extract(epoch from lower(s.during)))::bigint, ceil(extract(epoch from upper(s.during)))::bigint,
        a.start_at, a.start_at + a.duration, s.role = 'interpreter'
    from unnest(persons) as p(id)
    join lateral (
        select seat.during, seat.role, seat.appointment_id from seat
        where seat.person_id = p.id and seat.during && span and seat.released_at is null
          and (seat.expires_at is null or seat.expires_at > at)
    ) s on true
    join appointment a on a.id = s.appointment_id;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function presence_windows(persons uuid[], span tstzrange, clinic uuid)
    returns table (person_id uuid, from_unix bigint, to_unix bigint, here bool)
    language plpgsql stable strict security definer
    set search_path = pg_catalog, public
as $$
#variable_conflict use_column
begin
    return query
    select p.id, extract(epoch from lower(w.during))::bigint, extract(epoch from upper(w.during))::bigint, w.organization_id = clinic
    from unnest(persons) as p(id)
    join presence_window w on w.person_id = p.id and w.during && span and w.state <> 'canceled'
    order by 1, 2;
end
$$;
-- +goose StatementEnd
