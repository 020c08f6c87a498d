-- +goose Up
-- A person's hours hold for every clinic they work with, so they belong to the
-- person, not to a tenant. Everybody may plan with them, only the owner is written
-- for: the policies say so.
create table availability (
    person_id     uuid        not null constraint availability_pkey primary key
                              constraint availability_person_fkey references person (id),
    zone          text        not null,
    rules         jsonb       not null,
    overrides     jsonb       not null,
    exdates       jsonb       not null,
    buffer_before interval    not null,
    buffer_after  interval    not null,
    min_notice    interval    not null,
    max_ahead     interval    not null,
    version       int         not null constraint availability_version_range check (version > 0),
    changed_at    timestamptz not null
);

alter table availability enable row level security;
alter table availability force row level security;
create policy availability_read on availability for select to consilium_app using (true);
create policy availability_insert on availability for insert to consilium_app
    with check (person_id = (select current_setting('consilium.person'))::uuid);
create policy availability_update on availability for update to consilium_app
    using (person_id = (select current_setting('consilium.person'))::uuid)
    with check (person_id = (select current_setting('consilium.person'))::uuid);
