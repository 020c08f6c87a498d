-- What decides and what was decided: editions of packs, what organizations hold and
-- have agreed, and every answer with its facts.

-- +goose Up

create table pack_edition (
  code text not null,
  version text not null,
  sha256 bytea not null,
  content text not null,
  effective tstzrange not null,
  state text not null,
  drafted_by uuid references person (id),
  published_by uuid references person (id),
  published_at timestamptz,
  constraint pack_edition_pk primary key (code, version),
  constraint pack_edition_content_true check (sha256(convert_to(content, 'UTF8')) = sha256),
  constraint pack_edition_state_known check (state in ('unverified-starter', 'in-review', 'verified', 'retired', 'platform-policy', 'conditions')),
  constraint pack_edition_two_persons check (published_by is null or published_by <> drafted_by)
);
create trigger pack_edition_append_only before update or delete on pack_edition
  for each row execute function refuse_change();
create trigger pack_edition_keep_all before truncate on pack_edition
  for each statement execute function refuse_change();

-- Facts and answer are text, since jsonb does not keep the bytes that were hashed.
-- They hold ids and codes, no patient's identity.
create table determination (
  id uuid primary key,
  person_id uuid not null references person (id),
  organization_id uuid references organization (id),
  activity text not null,
  at timestamptz not null,
  through timestamptz,
  mode text not null,
  decided_at timestamptz not null,
  decision text not null,
  facts text not null,
  answer text not null,
  hash bytea not null,
  constraint determination_activity_known check (activity in ('advise_physician', 'joint_video_visit', 'direct_consult', 'prescribe_or_order', 'sign_decision')),
  constraint determination_mode_known check (mode in ('plan', 'act')),
  constraint determination_decision_known check (decision in ('deny', 'permit-with-conditions', 'permit')),
  constraint determination_hash_length check (octet_length(hash) = 32),
  constraint determination_hash_true check (hash = sha256(convert_to(facts, 'UTF8') || '\x0a'::bytea || convert_to(answer, 'UTF8')))
);
create index determination_person on determination (person_id, decided_at desc);
create trigger determination_append_only before update or delete on determination
  for each row execute function refuse_change();
create trigger determination_keep_all before truncate on determination
  for each statement execute function refuse_change();

-- A facility's own license to give care at a distance.
create table facility_license (
  id uuid primary key,
  organization_id uuid not null references organization (id),
  jurisdiction text not null,
  type text not null,
  issuer text not null,
  number text not null,
  valid_from timestamptz not null,
  valid_to timestamptz,
  entered_by uuid references person (id),
  evidence_sha256 bytea references evidence (sha256),
  known tstzrange not null,
  constraint facility_license_type_known check (type in ('telehealth')),
  constraint facility_license_span check (valid_to is null or valid_to > valid_from),
  constraint facility_license_jurisdiction_code check (jurisdiction ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$'),
  constraint facility_license_one_known exclude using gist (organization_id with =, issuer with =, number with =, known with &&)
);
create index facility_license_organization on facility_license (organization_id, jurisdiction);
create trigger facility_license_append_only before update or delete on facility_license
  for each row execute function keep_but_close();
create trigger facility_license_keep_all before truncate on facility_license
  for each statement execute function refuse_change();

-- What two organizations agreed in writing about records that go from one to the
-- other, and on which legal ground.
create table agreement (
  id uuid primary key,
  from_organization_id uuid not null references organization (id),
  to_organization_id uuid not null references organization (id),
  ground text not null,
  data_classes text[] not null,
  valid_from timestamptz not null,
  valid_to timestamptz,
  entered_by uuid references person (id),
  evidence_sha256 bytea references evidence (sha256),
  known tstzrange not null,
  constraint agreement_two_organizations check (from_organization_id <> to_organization_id),
  constraint agreement_ground_present check (ground <> ''),
  constraint agreement_classes_known check (data_classes <@ array['identity', 'history', 'labs', 'images', 'video']),
  constraint agreement_span check (valid_to is null or valid_to > valid_from),
  constraint agreement_no_overlap exclude using gist (from_organization_id with =, to_organization_id with =, ground with =,
    tstzrange(valid_from, valid_to) with &&, known with &&)
);
create trigger agreement_append_only before update or delete on agreement
  for each row execute function keep_but_close();
create trigger agreement_keep_all before truncate on agreement
  for each statement execute function refuse_change();
