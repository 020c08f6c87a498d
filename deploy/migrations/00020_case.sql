-- Cases, who is in them, consents, discussion and files. Clinical text is sealed
-- with the key of the case: columns named sealed_… hold ciphertext only.

-- +goose Up
create table case_counter (
  organization_id uuid primary key references organization,
  last bigint not null
);
alter table case_counter enable row level security;
alter table case_counter force row level security;
create policy case_counter_organization on case_counter for all to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid)
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);

create table clinical_case (
  id uuid primary key,
  organization_id uuid not null references organization,
  number text not null,
  state text not null constraint clinical_case_state check (state in
    ('draft','submitted','triaged','assigned','advised','decided','handed_back','closed','returned','declined','withdrawn')),
  version int not null default 1,
  specialty text not null,
  urgency text not null constraint clinical_case_urgency check (urgency in ('routine','soon','urgent','emergency')),
  place text not null,
  place_at timestamptz,
  place_by uuid references person,
  place_how text not null default '',
  zone text not null,
  languages text[] not null,
  sealed_content bytea not null,
  created_by uuid not null references person,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  due_at timestamptz,
  reason text not null default '',
  handed_to text not null default '',
  handed_back_at timestamptz,
  constraint clinical_case_number unique (organization_id, number),
  constraint clinical_case_of_organization unique (organization_id, id)
);
-- my cases and the board: newest change first
create index clinical_case_changed on clinical_case (organization_id, changed_at desc, id desc);
alter table clinical_case enable row level security;
alter table clinical_case force row level security;
create policy clinical_case_organization on clinical_case for all to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid)
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);

-- The patient: a pseudonym for the workspace and the identity, sealed, apart.
create table case_patient (
  case_id uuid primary key,
  organization_id uuid not null,
  person_id uuid references person,
  initials text not null,
  sex text not null constraint case_patient_sex check (sex in ('female','male','other','unknown')),
  birth_year int not null constraint case_patient_birth_year check (birth_year between 1890 and 2200),
  sealed_identity bytea not null,
  confirmed_at timestamptz,
  constraint case_patient_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);
alter table case_patient enable row level security;
alter table case_patient force row level security;
create policy case_patient_organization on case_patient for all to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid)
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);

-- Who may come in. A row is seen by its clinic and by its person.
create table case_member (
  id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  person_id uuid not null references person,
  role text not null constraint case_member_role check (role in ('responsible','specialist','patient','observer')),
  from_at timestamptz not null,
  until_at timestamptz,
  added_by uuid not null references person,
  constraint case_member_period check (until_at is null or until_at >= from_at),
  constraint case_member_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);
-- one responsible local physician at any instant
create unique index case_member_one_responsible on case_member (case_id) where role = 'responsible' and until_at is null;
create unique index case_member_once on case_member (case_id, person_id, role) where until_at is null;
create index case_member_person on case_member (person_id, case_id) where until_at is null;
alter table case_member enable row level security;
alter table case_member force row level security;
create policy case_member_see on case_member for select to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid
      or person_id = (select current_setting('consilium.person'))::uuid);
create policy case_member_insert on case_member for insert to consilium_app
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy case_member_update on case_member for update to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid)
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);

-- Every time the place was asked.
create table case_place (
  id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  place text not null,
  how text not null,
  asked_by uuid not null references person,
  asked_at timestamptz not null,
  constraint case_place_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);

-- Consents and withdrawals are inserted only.
create table case_consent (
  id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  purpose text not null constraint case_consent_purpose check (purpose in
    ('live_consult','advice','record_sharing','recording','captions','interpreter','teaching')),
  class text not null constraint case_consent_class check (class in ('','identity','history','labs','images','video')),
  destination text not null,
  receiver_id uuid references person,
  receiver_organization_id uuid references organization,
  sealed_giver bytea not null,
  giver_kind text not null constraint case_consent_giver check (giver_kind in ('patient','guardian','proxy')),
  how text not null constraint case_consent_how check (how in ('signed_on_screen','spoken_witnessed','paper')),
  witness_id uuid references person,
  text_version text not null,
  text_sha256 bytea not null constraint case_consent_text_sha256 check (length(text_sha256) = 32),
  sealed_text bytea not null,
  language text not null,
  recorded_by uuid not null references person,
  recorded_at timestamptz not null,
  until_at timestamptz,
  constraint case_consent_of_case unique (organization_id, case_id, id),
  constraint case_consent_spoken check (how <> 'spoken_witnessed' or witness_id is not null),
  constraint case_consent_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);
create index case_consent_by_case on case_consent (organization_id, case_id);

create table case_consent_withdrawal (
  consent_id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  how text not null,
  recorded_by uuid not null references person,
  withdrawn_at timestamptz not null,
  constraint case_consent_withdrawal_of foreign key (organization_id, case_id, consent_id)
    references case_consent (organization_id, case_id, id)
);

create table case_message (
  id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  author_id uuid references person,
  audience text not null constraint case_message_audience check (audience in ('main','aside')),
  session_id uuid,
  language text not null,
  sealed_text bytea not null,
  said_at timestamptz not null,
  constraint case_message_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);
create index case_message_by_case on case_message (organization_id, case_id, id);

create table case_file (
  id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  class text not null constraint case_file_class check (class in ('identity','history','labs','images','video')),
  media_type text not null,
  size bigint not null constraint case_file_size check (size >= 0),
  sha256 bytea not null constraint case_file_sha256 check (length(sha256) = 32),
  sealed_name bytea not null,
  language text not null,
  scan text not null constraint case_file_scan check (scan in ('clean','not_scanned_demonstration')),
  uploaded_by uuid not null references person,
  uploaded_at timestamptz not null,
  constraint case_file_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);
create index case_file_by_case on case_file (organization_id, case_id);

-- +goose StatementBegin
do $$
declare t text;
begin
  foreach t in array array['case_place','case_consent','case_consent_withdrawal','case_message','case_file'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I for all to consilium_app
      using (organization_id = (select current_setting(''consilium.organization''))::uuid)
      with check (organization_id = (select current_setting(''consilium.organization''))::uuid)', t || '_organization', t);
    execute format('create trigger %I before update or delete on %I for each row execute function refuse_change()', t || '_insert_only', t);
    execute format('create trigger %I before truncate on %I for each statement execute function refuse_change()', t || '_no_truncate', t);
  end loop;
end $$;
-- +goose StatementEnd
