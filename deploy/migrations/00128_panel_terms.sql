-- A panel has a specialty, its members an order, a share and pauses, and each form that it
-- had stays.

-- +goose Up
alter table panel add column specialty text not null default '' constraint panel_specialty_length check (length(specialty) <= 60);
alter table panel_member
    add column position int     not null default 0,
    add column share    int     not null default 1 constraint panel_member_share_range check (share between 1 and 10),
    add column paused   boolean not null default false;

-- What a panel was from a change on. Insert only.
create table panel_version (
    organization_id uuid        not null,
    panel_id        uuid        not null,
    version         int         not null,
    stated          jsonb       not null,
    changed_by      uuid        constraint panel_version_changed_by_fkey references person (id),
    changed_at      timestamptz not null,
    constraint panel_version_pkey primary key (panel_id, version),
    constraint panel_version_panel_fkey foreign key (organization_id, panel_id) references panel (organization_id, id)
);
alter table panel_version enable row level security;
alter table panel_version force row level security;
create policy panel_version_read on panel_version for select to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy panel_version_insert on panel_version for insert to consilium_app
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
