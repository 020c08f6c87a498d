-- Holds: seats kept for minutes. An expired one stops nobody, though its row may
-- still be there.

-- +goose Up
create index seat_hold on seat (person_id, expires_at) where (kind = 'hold' and released_at is null);

create policy seat_lapse on seat for update to consilium_owner using (kind = 'hold') with check (kind = 'hold');
create policy appointment_lapse on appointment for update to consilium_owner using (state = 'held') with check (state = 'lapsed');

-- busy knows the time: what a hold kept is free from the instant at which it expires.
drop function busy(uuid[], tstzrange);
-- +goose StatementBegin
create function busy(persons uuid[], span tstzrange, at timestamptz)
    returns table (person_id uuid, from_unix bigint, to_unix bigint)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select p.id, floor(extract(epoch from lower(s.during)))::bigint, ceil(extract(epoch from upper(s.during)))::bigint
    from unnest(persons) as p(id)
    join lateral (
        select seat.during from seat
        where seat.person_id = p.id and seat.during && span and seat.released_at is null
          and (seat.expires_at is null or seat.expires_at > at)
    ) s on true
$$;
-- +goose StatementEnd

-- lapse_holds ends the expired holds, of all clinics, in which these people sit, whole
-- appointments at a time. Whoever calls it learns which ended, and nothing else.
-- +goose StatementBegin
create function lapse_holds(persons uuid[], at timestamptz) returns table (organization_id uuid, appointment_id uuid)
    language plpgsql security definer
    set search_path = pg_catalog, public
as $$
begin
    if not exists (select from seat s where s.person_id = any(persons) and s.kind = 'hold' and s.released_at is null and s.expires_at <= at) then
        return;
    end if;
    return query
    with over as (
        select a.organization_id as org, a.id
        from appointment a
        where a.state = 'held' and a.id in (
            select s.appointment_id from seat s
            where s.person_id = any(persons) and s.kind = 'hold' and s.released_at is null and s.expires_at <= at
        )
        order by a.id
        for update skip locked
    ), freed as (
        update seat s set released_at = at
        from over o
        where s.organization_id = o.org and s.appointment_id = o.id and s.kind = 'hold' and s.released_at is null
    )
    update appointment a set state = 'lapsed', version = a.version + 1, changed_at = at
    from over o
    where a.organization_id = o.org and a.id = o.id
    returning a.organization_id, a.id;
end
$$;
-- +goose StatementEnd
revoke all on function busy(uuid[], tstzrange, timestamptz), lapse_holds(uuid[], timestamptz) from public;
grant execute on function busy(uuid[], tstzrange, timestamptz), lapse_holds(uuid[], timestamptz) to consilium_app;
