-- Days on which a house is closed: holidays. They are no secret, and warn those who plan
-- with the house.

-- +goose Up
create table closed_day (
    organization_id uuid        not null constraint closed_day_organization_fkey references organization (id),
    day             date        not null,
    name            text        not null constraint closed_day_name_length check (length(name) between 1 and 80),
    changed_by      uuid        constraint closed_day_changed_by_fkey references person (id),
    changed_at      timestamptz not null,
    constraint closed_day_pkey primary key (organization_id, day)
);
alter table closed_day enable row level security;
alter table closed_day force row level security;
create policy closed_day_read on closed_day for select to consilium_app using (true);
create policy closed_day_insert on closed_day for insert to consilium_app
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy closed_day_delete on closed_day for delete to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid);
