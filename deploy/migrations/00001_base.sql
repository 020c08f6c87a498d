-- The base: who the roles of the database may touch, the log in which every
-- command ends, and the people, organizations, logins and keys of identity.
-- Runs as consilium_owner; the roles exist already (package localpg, or the
-- operator's database).

-- +goose Up

create extension if not exists btree_gist;

-- The application's role reads and writes rows and nothing else; tables that only
-- grow take update and delete back below, and their triggers refuse the owner too.
grant usage on schema public to consilium_app;
alter default privileges in schema public
  grant select, insert, update, delete on tables to consilium_app;
alter default privileges in schema public
  grant usage, select on sequences to consilium_app;
grant select on goose_db_version to consilium_app;

-- refuse_change is the trigger of tables whose rows are inserted and never changed:
-- create trigger t_keep before update or delete on t for each row execute function refuse_change();
-- create trigger t_keep_all before truncate on t for each statement execute function refuse_change();
-- +goose StatementBegin
create function refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
  raise exception 'rows of % are never changed', tg_table_name
    using errcode = 'restrict_violation', table = tg_table_name, constraint = tg_name;
end
$$;
-- +goose StatementEnd

-- The log (RFC 6962). A leaf holds ids, codes and commitments only and belongs to
-- nobody: whoever verifies the log reads all of it, so it has no row policy.
create table audit_leaf (
  index bigint primary key,
  data bytea not null,
  at timestamptz not null,
  act text not null,
  organization_id uuid,
  constraint audit_leaf_index_natural check (index >= 0),
  constraint audit_leaf_data_present check (octet_length(data) > 0)
);
create index audit_leaf_organization on audit_leaf (organization_id, index);
create index audit_leaf_at on audit_leaf (at);
create trigger audit_leaf_keep before update or delete on audit_leaf
  for each row execute function refuse_change();
create trigger audit_leaf_keep_all before truncate on audit_leaf
  for each statement execute function refuse_change();
revoke update, delete on audit_leaf from consilium_app;

-- The tree's inner hashes in the order of tlog.StoredHashIndex.
create table audit_hash (
  stored_index bigint primary key,
  hash bytea not null,
  constraint audit_hash_index_natural check (stored_index >= 0),
  constraint audit_hash_length check (octet_length(hash) = 32)
);
create trigger audit_hash_keep before update or delete on audit_hash
  for each row execute function refuse_change();
create trigger audit_hash_keep_all before truncate on audit_hash
  for each statement execute function refuse_change();
revoke update, delete on audit_hash from consilium_app;

-- The one head row: locked last in each command, and it only grows.
create table audit_head (
  single boolean primary key default true,
  size bigint not null,
  root bytea not null,
  constraint audit_head_single check (single),
  constraint audit_head_size_natural check (size >= 0),
  constraint audit_head_root_length check (octet_length(root) = 32)
);
insert into audit_head (size, root)
values (0, sha256(''::bytea));
-- +goose StatementBegin
create function audit_head_grows() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
  if tg_op = 'UPDATE' and new.size > old.size then
    return new;
  end if;
  raise exception 'the head of the log only grows'
    using errcode = 'restrict_violation', table = tg_table_name, constraint = tg_name;
end
$$;
-- +goose StatementEnd
create trigger audit_head_grows before update or delete on audit_head
  for each row execute function audit_head_grows();
create trigger audit_head_keep_all before truncate on audit_head
  for each statement execute function refuse_change();
revoke insert, delete on audit_head from consilium_app;

-- What people of the organization may read of an event. Erasing a row leaves the
-- log whole: its leaf holds a salted commitment only.
create table audit_detail (
  leaf_index bigint primary key references audit_leaf (index),
  organization_id uuid not null,
  salt bytea not null,
  detail bytea not null,
  constraint audit_detail_salt_length check (octet_length(salt) = 32)
);
alter table audit_detail enable row level security;
alter table audit_detail force row level security;
create policy audit_detail_organization on audit_detail for all to consilium_app
  using (organization_id = (select current_setting('consilium.organization'))::uuid)
  with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create trigger audit_detail_keep before update on audit_detail
  for each row execute function refuse_change();

-- Signed checkpoints (C2SP tlog-checkpoint), one for a size and a key.
create table audit_checkpoint (
  size bigint not null,
  key_hash bigint not null,
  root bytea not null,
  at timestamptz not null,
  note bytea not null,
  primary key (size, key_hash),
  constraint audit_checkpoint_root_length check (octet_length(root) = 32)
);
create trigger audit_checkpoint_keep before update or delete on audit_checkpoint
  for each row execute function refuse_change();
create trigger audit_checkpoint_keep_all before truncate on audit_checkpoint
  for each statement execute function refuse_change();
revoke update, delete on audit_checkpoint from consilium_app;

-- People and organizations are known on the whole platform: a specialist of one
-- clinic is asked by another. What they may see is decided by each room.
create table organization (
  id uuid primary key,
  name text not null,
  kind text not null,
  zone text not null,
  place text not null,
  created_at timestamptz not null,
  constraint organization_name_present check (name <> ''),
  constraint organization_kind_known check (kind in ('hospital', 'specialist-center', 'interpreter-agency', 'authority')),
  constraint organization_zone_present check (zone <> ''),
  constraint organization_place_code check (place ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$')
);

create table person (
  id uuid primary key,
  name text not null,
  title text not null default '',
  language text not null,
  languages text[] not null,
  zone text not null,
  home text not null default '',
  specialty text not null default '',
  email text not null default '',
  created_at timestamptz not null,
  disabled_at timestamptz,
  constraint person_name_present check (name <> ''),
  constraint person_language_tag check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
  constraint person_languages_tags check (array_to_string(languages, ',') ~ '^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*(,|$))+$'),
  constraint person_zone_present check (zone <> ''),
  constraint person_home_code check (home = '' or home ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$')
);
create index person_specialty on person (specialty) where specialty <> '';

-- What a person does for an organization, from and until. Patients and freelance
-- interpreters need none. A grant is ended, not deleted.
create table role_grant (
  id uuid primary key,
  person_id uuid not null references person (id),
  organization_id uuid references organization (id),
  role text not null,
  valid_from timestamptz not null,
  valid_until timestamptz,
  granted_by uuid references person (id),
  granted_at timestamptz not null,
  constraint role_grant_role_known check (role in ('local_physician', 'specialist', 'interpreter',
    'coordinator', 'credentialing_officer', 'administrator', 'patient')),
  constraint role_grant_organization_needed check (organization_id is not null or role in ('patient', 'interpreter')),
  constraint role_grant_span check (valid_until is null or valid_until > valid_from),
  constraint role_grant_no_overlap exclude using gist (
    person_id with =, coalesce(organization_id, '00000000-0000-0000-0000-000000000000'::uuid) with =,
    role with =, tstzrange(valid_from, valid_until) with &&)
);
create index role_grant_person on role_grant (person_id);
create index role_grant_role on role_grant (role, organization_id);

-- One browser's sign-in. The token itself is only in the browser.
create table login (
  id uuid primary key,
  person_id uuid not null references person (id),
  organization_id uuid references organization (id),
  token_hash bytea not null,
  factor text not null,
  seat text not null default '',
  agent text not null default '',
  created_at timestamptz not null,
  last_seen_at timestamptz not null,
  idle_until timestamptz not null,
  absolute_until timestamptz not null,
  step_up_at timestamptz,
  step_up_credential bytea,
  revoked_at timestamptz,
  revoked_reason text not null default '',
  constraint login_token unique (token_hash),
  constraint login_token_length check (octet_length(token_hash) = 32),
  constraint login_factor_known check (factor in ('passkey', 'demo', 'guest', 'oidc')),
  constraint login_guest_seat check ((factor = 'guest') = (seat <> '')),
  constraint login_limits check (idle_until <= absolute_until and created_at < absolute_until)
);
create index login_person on login (person_id, created_at desc);
create index login_open on login (absolute_until) where revoked_at is null;

create table passkey (
  credential_id bytea primary key,
  person_id uuid not null references person (id),
  public_key bytea not null,
  algorithm integer not null,
  aaguid bytea not null,
  kind text not null,
  label text not null,
  transports text[] not null,
  attestation text not null,
  sign_count bigint not null,
  backup_eligible boolean not null,
  backup_state boolean not null,
  enrolled_at timestamptz not null,
  last_used_at timestamptz,
  leaf_index bigint not null references audit_leaf (index),
  revoked_at timestamptz,
  constraint passkey_kind_known check (kind in ('passkey', 'demonstration')),
  constraint passkey_algorithm_allowed check (algorithm in (-7, -8, -257)),
  constraint passkey_aaguid_length check (octet_length(aaguid) = 16)
);
create index passkey_person on passkey (person_id);

-- A WebAuthn ceremony between its options and its answer: short-lived, used once.
create table ceremony (
  id uuid primary key,
  kind text not null,
  person_id uuid references person (id),
  login_id uuid references login (id),
  state bytea not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  constraint ceremony_kind_known check (kind in ('enroll', 'signin', 'stepup')),
  constraint ceremony_person_needed check (kind = 'signin' or person_id is not null)
);
create index ceremony_expiry on ceremony (expires_at);
