-- Sessions: the meeting of an appointment, who takes part, and which node runs it.

-- +goose Up
create table session (
  id uuid primary key,
  organization_id uuid not null references organization,
  appointment_id uuid not null,
  case_id uuid,
  kind text not null,
  mode text not null constraint session_mode check (mode in ('simultaneous', 'consecutive')),
  state text not null constraint session_state check (state in ('open', 'running', 'ended')),
  reason text not null default '',
  start_at timestamptz not null,
  end_at timestamptz not null,
  closes_at timestamptz not null,
  -- The machine's epoch: it goes on after a restart.
  epoch bigint not null default 0,
  -- Whether interpretation was ever on the air: after a restart its channels are down.
  interpreted boolean not null default false,
  -- The key of the feed's tickets: they outlive the process.
  feed_key bytea not null,
  opened_at timestamptz not null,
  begun_at timestamptz,
  ended_at timestamptz,
  constraint session_once unique (appointment_id),
  constraint session_of_organization unique (organization_id, id),
  constraint session_appointment foreign key (organization_id, appointment_id) references appointment (organization_id, id),
  constraint session_case foreign key (organization_id, case_id) references clinical_case (organization_id, id),
  constraint session_feed_key_length check (octet_length(feed_key) = 32),
  constraint session_ended check ((state = 'ended') = (ended_at is not null))
);
create index session_case_of on session (organization_id, case_id);
alter table session enable row level security;
alter table session force row level security;
create policy session_organization on session for all to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid)
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);

-- Who takes part; the id is the seat's and names the person to the media engine. A
-- row is seen by its clinic and by its person.
create table session_participant (
  id uuid primary key,
  organization_id uuid not null,
  session_id uuid not null,
  person_id uuid not null references person,
  role text not null constraint session_participant_role check (role in
    ('patient', 'local_physician', 'specialist', 'interpreter', 'coordinator', 'observer')),
  state text not null constraint session_participant_state check (state in ('expected', 'lobby', 'admitted', 'left', 'removed')),
  pair text[] not null default '{}',
  spoken text not null,
  listening text not null default '',
  place text not null default '',
  place_at timestamptz,
  checked_at timestamptz,
  arrived_at timestamptz,
  admitted_at timestamptz,
  admitted_by uuid references person,
  determination_id uuid,
  constraint session_participant_once unique (session_id, person_id),
  constraint session_participant_session foreign key (organization_id, session_id) references session (organization_id, id),
  constraint session_participant_pair check (cardinality(pair) in (0, 2))
);
create index session_participant_person on session_participant (person_id, session_id);
alter table session_participant enable row level security;
alter table session_participant force row level security;
create policy session_participant_see on session_participant for select to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid
      or person_id = (select current_setting('consilium.person'))::uuid);
create policy session_participant_insert on session_participant for insert to consilium_app
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy session_participant_update on session_participant for update to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid)
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);

-- The node that runs a session. Every write of a session names the epoch it holds.
create table session_lease (
  session_id uuid primary key,
  organization_id uuid not null,
  node text not null,
  address text not null default '',
  epoch bigint not null,
  until timestamptz not null,
  constraint session_lease_session foreign key (organization_id, session_id) references session (organization_id, id),
  constraint session_lease_epoch check (epoch > 0)
);
alter table session_lease enable row level security;
alter table session_lease force row level security;
create policy session_lease_organization on session_lease for all to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid)
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);
