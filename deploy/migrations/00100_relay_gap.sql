-- The times in which an interpreter who works from another one could not: from the loss
-- of the relay until it was back, or no longer needed.

-- +goose Up
create table relay_gap (
  organization_id uuid not null,
  session_id uuid not null,
  participant_id uuid not null references session_participant,
  channel text not null,
  began_at timestamptz not null,
  ended_at timestamptz,
  ending text constraint relay_gap_ending check (ending in ('restored', 'closed')),
  primary key (participant_id, began_at),
  constraint relay_gap_session foreign key (organization_id, session_id) references session (organization_id, id),
  constraint relay_gap_order check (ended_at >= began_at),
  constraint relay_gap_ended check ((ended_at is null) = (ending is null))
);
create index relay_gap_of_session on relay_gap (session_id, began_at);
alter table relay_gap enable row level security;
alter table relay_gap force row level security;
create policy relay_gap_see on relay_gap for select to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy relay_gap_insert on relay_gap for insert to consilium_app
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy relay_gap_update on relay_gap for update to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid)
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);
