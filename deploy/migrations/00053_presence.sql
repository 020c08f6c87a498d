-- +goose Up
-- Windows in which a specialist is there for a clinic, week by week or month by month.
create table presence (
    id              uuid        not null constraint presence_pkey primary key,
    organization_id uuid        not null constraint presence_organization_fkey references organization (id), -- the clinic
    person_id       uuid        not null constraint presence_person_fkey references person (id),             -- the specialist
    rule            jsonb       not null,
    anchor_zone     text        not null, -- the clock that keeps the wall time
    duration        interval    not null constraint presence_duration_range check (duration between interval '15 min' and interval '8 hours'),
    ical_uid        text        not null constraint presence_uid_unique unique,
    ical_sequence   int         not null,
    version         int         not null,
    created_by      uuid        constraint presence_created_by_fkey references person (id),
    created_at      timestamptz not null,
    changed_at      timestamptz not null,
    constraint presence_tenant_unique unique (organization_id, id)
);
create index presence_person on presence (person_id);

create table presence_window (
    id               uuid        not null constraint presence_window_pkey primary key,
    organization_id  uuid        not null,
    presence_id      uuid        not null,
    person_id        uuid        not null constraint presence_window_person_fkey references person (id),
    occurrence_local timestamp   not null, -- on the anchor clock; names the occurrence for ever, also after it moved
    start_local      timestamp   not null,
    during           tstzrange   not null,
    tzdata_version   text        not null,
    ical_sequence    int         not null,
    state            text        not null constraint presence_window_state_known check (state in ('open', 'moved', 'canceled')),
    told_at          timestamptz, -- the other side was told, if the hour moves with it
    changed_at       timestamptz not null,
    constraint presence_window_presence_fkey foreign key (organization_id, presence_id) references presence (organization_id, id),
    constraint presence_window_once unique (presence_id, occurrence_local),
    constraint presence_window_bounded check (not isempty(during) and lower_inc(during) and not upper_inc(during)
        and not lower_inf(during) and not upper_inf(during)),
    -- Nobody is promised to two clinics at once.
    constraint presence_no_overlap exclude using gist (person_id with =, during with &&) where (state <> 'canceled')
);
create index presence_window_untold on presence_window (lower(during)) where (told_at is null and state <> 'canceled');

-- They belong to the clinic and to the specialist.
alter table presence enable row level security;
alter table presence force row level security;
create policy presence_tenant_or_own on presence to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid
        or person_id = (select current_setting('consilium.person'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
alter table presence_window enable row level security;
alter table presence_window force row level security;
create policy presence_window_tenant_or_own on presence_window to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid
        or person_id = (select current_setting('consilium.person'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy presence_window_look on presence_window for select to consilium_owner using (true);

-- presence_windows tells a clinic when people are there for it, and when they are
-- promised to another, which is not named.
-- +goose StatementBegin
create function presence_windows(persons uuid[], span tstzrange, clinic uuid)
    returns table (person_id uuid, from_unix bigint, to_unix bigint, here bool)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select p.id, extract(epoch from lower(w.during))::bigint, extract(epoch from upper(w.during))::bigint, w.organization_id = clinic
    from unnest(persons) as p(id)
    join presence_window w on w.person_id = p.id and w.during && span and w.state <> 'canceled'
    order by 1, 2
$$;
-- +goose StatementEnd

-- presences_untold tells which presences of which clinics have windows until then of
-- which it was not looked at whether the hour moves.
-- +goose StatementBegin
create function presences_untold(at timestamptz, until timestamptz) returns table (organization_id uuid, presence_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select distinct w.organization_id, w.presence_id
    from presence_window w
    where w.told_at is null and w.state <> 'canceled' and lower(w.during) > at and lower(w.during) <= until
$$;
-- +goose StatementEnd
revoke all on function presence_windows(uuid[], tstzrange, uuid), presences_untold(timestamptz, timestamptz) from public;
grant execute on function presence_windows(uuid[], tstzrange, uuid), presences_untold(timestamptz, timestamptz) to consilium_app;
