-- Panels of specialists: requests go to their members in turn.

-- +goose Up
create table panel (
    id              uuid        not null constraint panel_pkey primary key,
    organization_id uuid        not null constraint panel_organization_fkey references organization (id),
    name            text        not null constraint panel_name_length check (length(name) between 1 and 100),
    version         int         not null constraint panel_version_range check (version > 0),
    created_by      uuid        constraint panel_created_by_fkey references person (id),
    created_at      timestamptz not null,
    changed_at      timestamptz not null,
    constraint panel_tenant_unique unique (organization_id, id),
    constraint panel_name_once unique (organization_id, name)
);
create table panel_member (
    organization_id uuid not null,
    panel_id        uuid not null,
    person_id       uuid not null constraint panel_member_person_fkey references person (id),
    constraint panel_member_pkey primary key (panel_id, person_id),
    constraint panel_member_panel_fkey foreign key (organization_id, panel_id) references panel (organization_id, id)
);
-- Who got a request, and why: the members that were considered, in order. Insert only.
create table panel_turn (
    id              uuid        not null constraint panel_turn_pkey primary key,
    organization_id uuid        not null,
    panel_id        uuid        not null,
    case_id         uuid        not null,
    kind            text        not null,
    person_id       uuid        not null constraint panel_turn_person_fkey references person (id),
    considered      jsonb       not null,
    key             text        not null constraint panel_turn_key_length check (length(key) between 1 and 100),
    created_by      uuid        constraint panel_turn_created_by_fkey references person (id),
    at              timestamptz not null,
    constraint panel_turn_panel_fkey foreign key (organization_id, panel_id) references panel (organization_id, id),
    constraint panel_turn_case_fkey foreign key (organization_id, case_id) references clinical_case (organization_id, id),
    constraint panel_turn_once unique (panel_id, key)
);
create index panel_turn_case on panel_turn (organization_id, case_id, at);
create index panel_turn_member on panel_turn (panel_id, person_id, at);
create trigger panel_turn_keep before update or delete on panel_turn
  for each row execute function refuse_change();
create trigger panel_turn_keep_all before truncate on panel_turn
  for each statement execute function refuse_change();
revoke update, delete on panel_turn from consilium_app;

alter table panel enable row level security;
alter table panel force row level security;
create policy panel_tenant on panel to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
alter table panel_member enable row level security;
alter table panel_member force row level security;
create policy panel_member_tenant on panel_member to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
alter table panel_turn enable row level security;
alter table panel_turn force row level security;
create policy panel_turn_tenant on panel_turn to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
