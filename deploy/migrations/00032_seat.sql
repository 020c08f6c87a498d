-- +goose Up
create table seat (
    id               uuid        not null constraint seat_pkey primary key,
    organization_id  uuid        not null,
    appointment_id   uuid        not null,
    person_id        uuid        not null constraint seat_person_fkey references person (id),
    role             text        not null constraint seat_role_known check (role in ('patient', 'local_physician', 'specialist',
        'interpreter', 'coordinator', 'observer')),
    required         bool        not null,
    during           tstzrange   not null, -- with the person's buffers
    kind             text        not null constraint seat_kind_known check (kind in ('hold', 'booking')),
    expires_at       timestamptz,
    released_at      timestamptz, -- set: the seat keeps nobody any more
    response         text        not null constraint seat_response_known check (response in ('needs-action', 'accepted', 'declined', 'tentative')),
    responded_at     timestamptz,
    attested_at      timestamptz, -- interpreters: confidentiality attested
    determination_id uuid        constraint seat_determination_fkey references determination (id),
    pair             text[],
    leg              int         not null,
    constraint seat_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id),
    constraint seat_during_bounded check (not isempty(during) and lower_inc(during) and not upper_inc(during)
        and not lower_inf(during) and not upper_inf(during)),
    constraint seat_hold_expires check ((kind = 'hold') = (expires_at is not null)),
    constraint seat_clinician_determined check (role not in ('local_physician', 'specialist') or determination_id is not null),
    constraint seat_interpreter_pair check ((role = 'interpreter') = (pair is not null) and cardinality(pair) = 2),
    constraint seat_leg_range check (leg between 0 and 2),
    -- Nobody sits in two places at once (scheduling S1). Its index also serves the
    -- search for busy ranges.
    constraint seat_no_overlap exclude using gist (person_id with =, during with &&) where (released_at is null)
);
create unique index seat_once on seat (organization_id, appointment_id, person_id) where (released_at is null);
create index seat_person on seat (person_id, appointment_id);

-- A seat belongs to the clinic that booked and to the person who sits on it.
alter table seat enable row level security;
alter table seat force row level security;
create policy seat_tenant_or_own on seat for select to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid
        or person_id = (select current_setting('consilium.person'))::uuid);
create policy seat_insert on seat for insert to consilium_app
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy seat_update on seat for update to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);

-- Whether somebody is busy is told to every clinic that plans with them, by whom and
-- for what is not: the function sees all seats and gives ranges alone. Forced row
-- policies bind the owner too, hence the policy for reading.
create policy seat_busy on seat for select to consilium_owner using (true);
-- +goose StatementBegin
create function busy(persons uuid[], span tstzrange)
    returns table (person_id uuid, from_unix bigint, to_unix bigint)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select p.id, floor(extract(epoch from lower(s.during)))::bigint, ceil(extract(epoch from upper(s.during)))::bigint
    from unnest(persons) as p(id)
    join lateral (
        select seat.during from seat
        where seat.person_id = p.id and seat.during && span and seat.released_at is null
    ) s on true
$$;
-- +goose StatementEnd
revoke all on function busy(uuid[], tstzrange) from public;
grant execute on function busy(uuid[], tstzrange) to consilium_app;
