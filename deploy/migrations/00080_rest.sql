-- What a clinic asks of those who work in its visits, and what was set aside of it for
-- a visit, by whom and why.

-- +goose Up
create table rest_rules (
    organization_id uuid        not null constraint rest_rules_pkey primary key constraint rest_rules_organization_fkey references organization (id),
    between_days    interval    not null constraint rest_rules_between_range check (between_days between interval '0' and interval '24 hours'),
    in_a_row        interval    not null constraint rest_rules_row_range check (in_a_row between interval '0' and interval '12 hours'),
    break           interval    not null constraint rest_rules_break_range check (break between interval '0' and interval '4 hours'),
    interpret_day   interval    not null constraint rest_rules_interpret_range check (interpret_day between interval '0' and interval '24 hours'),
    version         int         not null constraint rest_rules_version_range check (version > 0),
    changed_by      uuid        constraint rest_rules_changed_by_fkey references person (id),
    changed_at      timestamptz not null
);
alter table rest_rules enable row level security;
alter table rest_rules force row level security;
create policy rest_rules_tenant on rest_rules to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);

alter table appointment
    add column override_reason text not null default '' constraint appointment_override_length check (length(override_reason) <= 500),
    add column overridden jsonb not null default '[]';

-- taken is busy that also tells when somebody works, without buffers, and whether they
-- interpret then: rest is asked of all clinics together.
-- +goose StatementBegin
create function taken(persons uuid[], span tstzrange, at timestamptz)
    returns table (person_id uuid, from_unix bigint, to_unix bigint, sits_from timestamptz, sits_to timestamptz, interprets bool)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select p.id, floor(extract(epoch from lower(s.during)))::bigint, ceil(extract(epoch from upper(s.during)))::bigint,
        a.start_at, a.start_at + a.duration, s.role = 'interpreter'
    from unnest(persons) as p(id)
    join lateral (
        select seat.during, seat.role, seat.organization_id, seat.appointment_id from seat
        where seat.person_id = p.id and seat.during && span and seat.released_at is null
          and (seat.expires_at is null or seat.expires_at > at)
    ) s on true
    join appointment a on a.id = s.appointment_id
$$;
-- +goose StatementEnd

-- taken_locked is taken for somebody about to seat these people: one at a time, so that
-- two visits that keep the limits each do not break them together.
-- +goose StatementBegin
create function taken_locked(persons uuid[], span tstzrange, at timestamptz)
    returns table (person_id uuid, from_unix bigint, to_unix bigint, sits_from timestamptz, sits_to timestamptz, interprets bool)
    language plpgsql strict security definer
    set search_path = pg_catalog, public
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(p.id::text, 80)) from (select id from unnest(persons) as u(id) order by id) p;
    return query select * from taken(persons, span, at);
end
$$;
-- +goose StatementEnd
revoke all on function taken(uuid[], tstzrange, timestamptz), taken_locked(uuid[], tstzrange, timestamptz) from public;
grant execute on function taken(uuid[], tstzrange, timestamptz), taken_locked(uuid[], tstzrange, timestamptz) to consilium_app;
