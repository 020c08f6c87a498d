-- What is on file about people: claims, what sources said of them, who checked,
-- and every status, on two axes of time. Rows are about persons of the platform
-- and are read in every clinic; there is nothing clinical in them, so they have no
-- policy of an organization.

-- +goose Up

-- keep_but_close is the trigger of tables whose rows are versions: a row is never
-- changed but for its known range, whose open end is closed once. A version that
-- was replaced in the instant in which it was made ends with an empty range.
-- +goose StatementBegin
create function keep_but_close() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
  if tg_op = 'UPDATE'
    and to_jsonb(new) - 'known' = to_jsonb(old) - 'known'
    and (lower(new.known) = lower(old.known) or isempty(new.known))
    and upper_inf(old.known) and not upper_inf(new.known) then
    return new;
  end if;
  raise exception 'versions of % are closed, never changed', tg_table_name
    using errcode = 'restrict_violation', table = tg_table_name, constraint = tg_name;
end
$$;
-- +goose StatementEnd

create table credential (
  id uuid primary key,
  person_id uuid not null references person (id),
  kind text not null,
  issuer text not null,
  number text not null,
  jurisdiction text,
  via text not null default '',
  compact_principal boolean not null default false,
  entered_by uuid references person (id),
  recorded_at timestamptz not null,
  constraint credential_kind_known check (kind in ('licence', 'registration', 'compact_letter', 'board_certification',
    'controlled_drug_registration', 'language', 'education', 'privilege', 'privilege_by_proxy', 'malpractice', 'interpreter_certificate')),
  constraint credential_issuer_present check (issuer <> ''),
  constraint credential_number_present check (number <> ''),
  constraint credential_jurisdiction_code check (jurisdiction ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$'),
  constraint credential_jurisdiction_needed check (jurisdiction is not null or kind not in ('licence', 'registration')),
  constraint credential_number_unique unique (person_id, issuer, kind, number),
  constraint credential_of_person unique (id, person_id)
);
-- One license, one person; group cover may share a number.
create unique index credential_license_holder_unique on credential (issuer, number) where kind = 'licence';
create trigger credential_append_only before update or delete on credential
  for each row execute function refuse_change();
create trigger credential_keep_all before truncate on credential
  for each statement execute function refuse_change();

create table credential_claim (
  id uuid primary key,
  credential_id uuid not null references credential (id),
  content jsonb not null,
  entered_by uuid references person (id),
  known tstzrange not null,
  constraint credential_claim_of_credential unique (id, credential_id),
  constraint credential_claim_one_known exclude using gist (credential_id with =, known with &&)
);
create trigger credential_claim_append_only before update or delete on credential_claim
  for each row execute function keep_but_close();
create trigger credential_claim_keep_all before truncate on credential_claim
  for each statement execute function refuse_change();

-- Bad news counts when recorded; good news (active) when a second person confirmed
-- it. A row may supersede another, which then does not count any more.
create table credential_status (
  id uuid primary key,
  credential_id uuid not null,
  subject_id uuid not null,
  status text not null,
  from_at timestamptz not null,
  source text not null,
  reported_by uuid references person (id),
  confirmed_by uuid references person (id),
  recorded_at timestamptz not null,
  supersedes uuid references credential_status (id),
  constraint credential_status_subject_true foreign key (credential_id, subject_id) references credential (id, person_id),
  constraint credential_status_known check (status in ('active', 'suspended', 'revoked', 'surrendered', 'lapsed')),
  constraint credential_status_source_present check (source <> ''),
  constraint credential_status_two_persons check (confirmed_by is null or confirmed_by <> reported_by),
  constraint credential_status_not_by_subject check (status <> 'active' or
    (reported_by is distinct from subject_id and confirmed_by is distinct from subject_id))
);
create index credential_status_credential on credential_status (credential_id, from_at);
create unique index credential_status_superseded_once on credential_status (supersedes) where supersedes is not null;
create trigger credential_status_append_only before update or delete on credential_status
  for each row execute function refuse_change();
create trigger credential_status_keep_all before truncate on credential_status
  for each statement execute function refuse_change();

create table evidence (
  sha256 bytea primary key,
  media_type text not null,
  bytes_ref text not null,
  size bigint not null,
  constraint evidence_sha256_length check (octet_length(sha256) = 32),
  constraint evidence_size_present check (size > 0)
);
create trigger evidence_append_only before update or delete on evidence
  for each row execute function refuse_change();
create trigger evidence_keep_all before truncate on evidence
  for each statement execute function refuse_change();

-- The bytes, where no other store is configured. They may be erased when the time
-- for keeping them is over; hash and verification stay.
create table evidence_bytes (
  sha256 bytea primary key references evidence (sha256),
  bytes bytea not null,
  constraint evidence_bytes_true check (sha256(bytes) = sha256)
);
create trigger evidence_bytes_append_only before update on evidence_bytes
  for each row execute function refuse_change();

create table credential_evidence (
  id uuid primary key,
  credential_id uuid not null references credential (id),
  sha256 bytea not null references evidence (sha256),
  source text not null,
  captured_at timestamptz not null,
  captured_by uuid references person (id),
  recorded_at timestamptz not null
);
create index credential_evidence_credential on credential_evidence (credential_id, recorded_at);
create trigger credential_evidence_append_only before update or delete on credential_evidence
  for each row execute function refuse_change();
create trigger credential_evidence_keep_all before truncate on credential_evidence
  for each statement execute function refuse_change();

-- What a source answered about a claim, and who approved it: one row a version of
-- the same verification (root_id).
create table verification (
  id uuid primary key,
  root_id uuid not null,
  credential_id uuid not null,
  subject_id uuid not null,
  claim_id uuid not null,
  verifier_id uuid not null references person (id),
  approver_id uuid references person (id),
  method text not null,
  source text not null,
  source_address text not null default '',
  asked_at timestamptz not null,
  first_result text not null,
  result text not null,
  result_reason text not null default '',
  source_status text not null,
  status_from timestamptz not null,
  evidence_sha256 bytea references evidence (sha256),
  cause text not null,
  state text not null,
  next_due timestamptz,
  known tstzrange not null,
  constraint verification_subject_true foreign key (credential_id, subject_id) references credential (id, person_id),
  constraint verification_claim_true foreign key (claim_id, credential_id) references credential_claim (id, credential_id),
  constraint verification_not_by_subject check (verifier_id <> subject_id and (approver_id is null or approver_id <> subject_id)),
  constraint verification_two_persons check (approver_id is null or approver_id <> verifier_id),
  constraint verification_method_known check (method in ('primary-source', 'equivalent', 'certificate', 'attested', 'signed-credential')),
  constraint verification_result_known check (result in ('found', 'not-found', 'needs-review', 'failed')
    and first_result in ('found', 'not-found', 'needs-review', 'failed')),
  constraint verification_status_known check (source_status in ('active', 'suspended', 'revoked', 'surrendered', 'lapsed')),
  constraint verification_cause_known check (cause in ('manual', 'monitor', 'import')),
  constraint verification_state_known check (state in ('answered', 'approved', 'rejected', 'needs_review')),
  constraint verification_source_present check (source <> ''),
  constraint verification_approved_found check (state <> 'approved' or result = 'found'),
  constraint verification_approved_complete check (state <> 'approved' or (approver_id is not null and evidence_sha256 is not null and next_due is not null)),
  constraint verification_one_known exclude using gist (root_id with =, known with &&)
);
create index verification_credential on verification (credential_id, lower(known));
create index verification_waiting on verification (state) where upper_inf(known) and state in ('answered', 'needs_review');
create trigger verification_append_only before update or delete on verification
  for each row execute function keep_but_close();
create trigger verification_keep_all before truncate on verification
  for each statement execute function refuse_change();

-- The first answer of a source stays what it was in every later version.
-- +goose StatementBegin
create function verification_keeps_first() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
begin
  if exists (select 1 from verification v
    where v.root_id = new.root_id
      and (v.first_result, v.credential_id, v.claim_id, v.verifier_id, v.asked_at, v.source)
        is distinct from (new.first_result, new.credential_id, new.claim_id, new.verifier_id, new.asked_at, new.source)) then
    raise exception 'the first answer of a source does not change'
      using errcode = 'restrict_violation', table = 'verification', constraint = 'verification_first_result_kept';
  end if;
  return new;
end
$$;
-- +goose StatementEnd
create trigger verification_first_result_kept before insert on verification
  for each row execute function verification_keeps_first();

create table exclusion (
  id uuid primary key,
  person_id uuid not null references person (id),
  list text not null,
  list_version text not null default '',
  entry text not null,
  type text not null default '',
  from_at timestamptz not null,
  to_at timestamptz,
  strength text not null,
  reported_by uuid references person (id),
  recorded_at timestamptz not null,
  constraint exclusion_strength_known check (strength in ('strong', 'weak')),
  constraint exclusion_span check (to_at is null or to_at > from_at),
  constraint exclusion_entry_present check (list <> '' and entry <> ''),
  constraint exclusion_once unique (person_id, list, entry, from_at),
  constraint exclusion_of_person unique (id, person_id)
);
create trigger exclusion_append_only before update or delete on exclusion
  for each row execute function refuse_change();
create trigger exclusion_keep_all before truncate on exclusion
  for each statement execute function refuse_change();

-- A match is cleared by two people; confirming one needs no second.
create table exclusion_decision (
  id uuid primary key,
  exclusion_id uuid not null,
  subject_id uuid not null,
  decision text not null,
  proposed_by uuid not null references person (id),
  confirmed_by uuid references person (id),
  reason text not null,
  recorded_at timestamptz not null,
  constraint exclusion_decision_subject_true foreign key (exclusion_id, subject_id) references exclusion (id, person_id),
  constraint exclusion_decision_known check (decision in ('cleared', 'confirmed')),
  constraint exclusion_decision_two_persons check (confirmed_by is null or confirmed_by <> proposed_by),
  constraint exclusion_decision_not_by_subject check (proposed_by <> subject_id and confirmed_by is distinct from subject_id)
);
create index exclusion_decision_exclusion on exclusion_decision (exclusion_id, recorded_at);
create trigger exclusion_decision_append_only before update or delete on exclusion_decision
  for each row execute function refuse_change();
create trigger exclusion_decision_keep_all before truncate on exclusion_decision
  for each statement execute function refuse_change();

-- "No hit" is a dated check, not a missing row.
create table exclusion_check (
  id uuid primary key,
  person_id uuid not null references person (id),
  lists text[] not null,
  list_version text not null default '',
  checked_at timestamptz not null,
  hits integer not null,
  checked_by uuid references person (id),
  recorded_at timestamptz not null,
  constraint exclusion_check_lists_present check (cardinality(lists) > 0),
  constraint exclusion_check_hits_natural check (hits >= 0),
  constraint exclusion_check_not_ahead check (checked_at <= recorded_at)
);
create index exclusion_check_person on exclusion_check (person_id, checked_at desc);
create trigger exclusion_check_append_only before update or delete on exclusion_check
  for each row execute function refuse_change();
create trigger exclusion_check_keep_all before truncate on exclusion_check
  for each statement execute function refuse_change();

-- The person's own statement. It starts work and proves nothing.
create table attestation (
  id uuid primary key,
  person_id uuid not null references person (id),
  kind text not null,
  text_version text not null,
  text_sha256 bytea not null,
  language text not null,
  signed_at timestamptz not null,
  constraint attestation_kind_known check (kind in ('application', 'confidentiality', 'own-place')),
  constraint attestation_sha256_length check (octet_length(text_sha256) = 32)
);
create index attestation_person on attestation (person_id, kind, signed_at desc);
create trigger attestation_append_only before update or delete on attestation
  for each row execute function refuse_change();
create trigger attestation_keep_all before truncate on attestation
  for each statement execute function refuse_change();

-- What changed for a person or a place, and from when: those who keep bookings
-- follow it.
create table credential_change (
  id uuid primary key,
  person_id uuid references person (id),
  place text,
  cause text not null,
  from_at timestamptz not null,
  recorded_at timestamptz not null,
  constraint credential_change_of_something check (person_id is not null or place is not null)
);
create index credential_change_recorded on credential_change (recorded_at);
create trigger credential_change_append_only before update or delete on credential_change
  for each row execute function refuse_change();
create trigger credential_change_keep_all before truncate on credential_change
  for each statement execute function refuse_change();
