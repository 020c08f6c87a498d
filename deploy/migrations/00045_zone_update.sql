-- +goose Up
-- The editions of the zone data that bookings were computed with, whole: what a clock
-- read before a change is asked of the old one.
create table zone_edition (
    version  text        not null constraint zone_edition_pkey primary key,
    archive  bytea       not null,
    added_at timestamptz not null
);
create trigger zone_edition_keep before update or delete on zone_edition
  for each row execute function refuse_change();
create trigger zone_edition_keep_all before truncate on zone_edition
  for each statement execute function refuse_change();
revoke update, delete on zone_edition from consilium_app;

-- A change of the rules of clocks that moves booked visits of a clinic.
create table zone_update (
    id              uuid        not null constraint zone_update_pkey primary key,
    organization_id uuid        not null constraint zone_update_organization_fkey references organization (id),
    version         text        not null, -- the edition that is new
    found_at        timestamptz not null,
    closed_at       timestamptz, -- everything decided, or overtaken by another edition
    constraint zone_update_tenant_unique unique (organization_id, id)
);
create unique index zone_update_open on zone_update (organization_id) where (closed_at is null);

create table zone_update_item (
    id              uuid        not null constraint zone_update_item_pkey primary key,
    organization_id uuid        not null,
    update_id       uuid        not null,
    appointment_id  uuid        not null,
    from_version    text        not null,
    old_start       timestamptz not null,
    new_start       timestamptz not null, -- at which the anchor's clock reads what it was to read
    parties         jsonb       not null, -- what each one's clock reads, before and after
    state           text        not null constraint zone_update_item_state_known
                                check (state in ('pending', 'conflict', 'kept_wall', 'kept_instant', 'void')),
    decided_by      uuid        constraint zone_update_item_decided_by_fkey references person (id),
    decided_at      timestamptz,
    constraint zone_update_item_update_fkey foreign key (organization_id, update_id) references zone_update (organization_id, id),
    constraint zone_update_item_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id),
    constraint zone_update_item_once unique (update_id, appointment_id)
);
create unique index zone_update_item_open on zone_update_item (appointment_id) where (state in ('pending', 'conflict'));

alter table zone_update enable row level security;
alter table zone_update force row level security;
create policy zone_update_tenant on zone_update to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy zone_update_look on zone_update for select to consilium_owner using (true);
alter table zone_update_item enable row level security;
alter table zone_update_item force row level security;
create policy zone_update_item_tenant on zone_update_item to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy zone_update_item_look on zone_update_item for select to consilium_owner using (true);

-- zone_stale tells which visits to come were computed with another edition and wait
-- for no decision about it.
-- +goose StatementBegin
create function zone_stale(edition text, at timestamptz, most int) returns table (organization_id uuid, appointment_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select a.organization_id, a.id
    from appointment a
    where a.start_at > at and a.tzdata_version <> edition and a.state in ('pending', 'booked', 'needs_attention')
      and not exists (
          select from zone_update_item i
          where i.appointment_id = a.id and i.old_start = a.start_at and i.state in ('pending', 'conflict'))
    order by a.organization_id, a.start_at, a.id
    limit most
$$;
-- +goose StatementEnd

-- zone_overtaken tells which clinics have changes open that another edition overtook.
-- +goose StatementBegin
create function zone_overtaken(edition text) returns table (organization_id uuid, update_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select u.organization_id, u.id
    from zone_update u
    where u.closed_at is null and u.version <> edition
$$;
-- +goose StatementEnd
revoke all on function zone_stale(text, timestamptz, int), zone_overtaken(text) from public;
grant execute on function zone_stale(text, timestamptz, int), zone_overtaken(text) to consilium_app;
