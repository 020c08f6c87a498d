-- Opinions, decisions and their signatures. Inserted, never changed. A decision is
-- the act of the responsible local physician and rests on a stored determination
-- that permits sign_decision at that instant: the second lock behind the code.

-- +goose Up
create table opinion_draft (
  case_id uuid not null,
  organization_id uuid not null,
  author_id uuid not null references person,
  version int not null,
  sealed_content bytea not null,
  saved_at timestamptz not null,
  constraint opinion_draft_pk primary key (case_id, author_id),
  constraint opinion_draft_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);

-- A document as it was shown, waiting for its signature. Only used_at changes, once.
create table sign_request (
  id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  kind text not null constraint sign_request_kind check (kind in ('opinion','decision')),
  document_id uuid not null,
  person_id uuid not null references person,
  login_id text not null,
  case_version int not null,
  challenge bytea not null constraint sign_request_challenge check (length(challenge) = 32),
  sealed_document bytea not null,
  prepared_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  constraint sign_request_challenge_once unique (organization_id, challenge),
  constraint sign_request_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);

create table opinion (
  id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  author_id uuid not null references person,
  sha256 bytea not null constraint opinion_sha256 check (length(sha256) = 32),
  sealed_document bytea not null,
  determination_id uuid not null references determination,
  signed_at timestamptz not null,
  constraint opinion_of_case unique (organization_id, case_id, id),
  constraint opinion_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);

create table decision (
  id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  signer_id uuid not null references person,
  sha256 bytea not null constraint decision_sha256 check (length(sha256) = 32),
  sealed_document bytea not null,
  determination_id uuid not null references determination,
  signed_at timestamptz not null,
  constraint decision_one_per_case unique (case_id),
  constraint decision_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);

-- The WebAuthn assertion over a document, as received, and where it stands in the log.
create table document_signature (
  document_id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  kind text not null constraint document_signature_kind check (kind in ('opinion','decision')),
  person_id uuid not null references person,
  record bytea not null,
  sealed_evidence bytea not null,
  record_sha256 bytea not null constraint document_signature_record_sha256 check (length(record_sha256) = 32),
  leaf_index bigint not null,
  signed_at timestamptz not null,
  constraint document_signature_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);

-- Doses, allergies, sides and dates of an opinion, and who read them back.
create table read_back (
  id uuid primary key,
  organization_id uuid not null,
  case_id uuid not null,
  opinion_id uuid not null,
  kind text not null constraint read_back_kind check (kind in ('dose','allergy','laterality','date')),
  sealed_fields bytea not null,
  constraint read_back_of_case unique (organization_id, case_id, id),
  constraint read_back_opinion foreign key (organization_id, case_id, opinion_id) references opinion (organization_id, case_id, id)
);

create table read_back_confirmation (
  read_back_id uuid not null,
  organization_id uuid not null,
  case_id uuid not null,
  person_id uuid not null references person,
  language text not null,
  confirmed_at timestamptz not null,
  constraint read_back_confirmation_pk primary key (read_back_id, person_id),
  constraint read_back_confirmation_of foreign key (organization_id, case_id, read_back_id)
    references read_back (organization_id, case_id, id)
);

create table case_hand_back (
  case_id uuid primary key,
  organization_id uuid not null,
  handed_to text not null,
  sealed_summary bytea not null,
  language text not null,
  by_id uuid not null references person,
  at timestamptz not null,
  constraint case_hand_back_case foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);

-- +goose StatementBegin
do $$
declare t text;
begin
  foreach t in array array['opinion_draft','sign_request','opinion','decision','document_signature','read_back','read_back_confirmation','case_hand_back'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I for all to consilium_app
      using (organization_id = (select current_setting(''consilium.organization''))::uuid)
      with check (organization_id = (select current_setting(''consilium.organization''))::uuid)', t || '_organization', t);
  end loop;
  foreach t in array array['opinion','decision','document_signature','read_back','read_back_confirmation','case_hand_back'] loop
    execute format('create trigger %I before update or delete on %I for each row execute function refuse_change()', t || '_insert_only', t);
    execute format('create trigger %I before truncate on %I for each statement execute function refuse_change()', t || '_no_truncate', t);
  end loop;
end $$;
-- +goose StatementEnd

-- +goose StatementBegin
create function sign_request_used_once() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    raise exception 'sign_request is kept' using errcode = '23514', constraint = 'sign_request_used_once';
  end if;
  if old.used_at is not null or new.used_at is null
     or (to_jsonb(new) - 'used_at') <> (to_jsonb(old) - 'used_at') then
    raise exception 'sign_request is used once' using errcode = '23514', constraint = 'sign_request_used_once';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger sign_request_used_once before update or delete on sign_request for each row execute function sign_request_used_once();

-- A decision is refused here whatever the code let slip.
-- +goose StatementBegin
create function decision_may_be_signed() returns trigger language plpgsql as $$
begin
  if not exists (
      select from case_member m
      where m.case_id = new.case_id and m.organization_id = new.organization_id
        and m.person_id = new.signer_id and m.role = 'responsible'
        and m.from_at <= new.signed_at and m.until_at is null) then
    raise exception 'only the responsible local physician decides'
      using errcode = '23514', constraint = 'decision_signer_responsible';
  end if;
  if not exists (
      select from determination d
      where d.id = new.determination_id and d.person_id = new.signer_id
        and d.activity = 'sign_decision' and d.decision in ('permit','permit-with-conditions')
        and d.at = new.signed_at) then
    raise exception 'no determination permits this signature now'
      using errcode = '23514', constraint = 'decision_determination_permits';
  end if;
  if not exists (
      select from document_signature s
      where s.document_id = new.id and s.kind = 'decision' and s.case_id = new.case_id
        and s.person_id = new.signer_id) then
    raise exception 'a decision is signed'
      using errcode = '23514', constraint = 'decision_signed';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create constraint trigger decision_may_be_signed after insert on decision
  deferrable initially deferred for each row execute function decision_may_be_signed();

-- An opinion is signed by a specialist of the case, who is not its decider.
-- +goose StatementBegin
create function opinion_may_be_signed() returns trigger language plpgsql as $$
begin
  if not exists (
      select from case_member m
      where m.case_id = new.case_id and m.organization_id = new.organization_id
        and m.person_id = new.author_id and m.role = 'specialist' and m.until_at is null) then
    raise exception 'only a specialist of the case gives an opinion'
      using errcode = '23514', constraint = 'opinion_author_specialist';
  end if;
  if not exists (
      select from determination d
      where d.id = new.determination_id and d.person_id = new.author_id
        and d.activity = 'advise_physician' and d.decision in ('permit','permit-with-conditions')
        and d.at = new.signed_at) then
    raise exception 'no determination permits this opinion now'
      using errcode = '23514', constraint = 'opinion_determination_permits';
  end if;
  if not exists (
      select from document_signature s
      where s.document_id = new.id and s.kind = 'opinion' and s.case_id = new.case_id
        and s.person_id = new.author_id) then
    raise exception 'an opinion is signed'
      using errcode = '23514', constraint = 'opinion_signed';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create constraint trigger opinion_may_be_signed after insert on opinion
  deferrable initially deferred for each row execute function opinion_may_be_signed();

-- A case is decided only when there is a decision.
-- +goose StatementBegin
create function case_decided_by_decision() returns trigger language plpgsql as $$
begin
  if new.state in ('decided','handed_back','closed')
     and not exists (select from decision d where d.case_id = new.id and d.organization_id = new.organization_id) then
    raise exception 'a case is decided by a decision'
      using errcode = '23514', constraint = 'clinical_case_decided';
  end if;
  if new.state in ('handed_back','closed')
     and not exists (select from case_hand_back h where h.case_id = new.id and h.organization_id = new.organization_id) then
    raise exception 'a case closes with a hand-back'
      using errcode = '23514', constraint = 'clinical_case_handed_back';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create constraint trigger case_decided_by_decision after insert or update on clinical_case
  deferrable initially deferred for each row execute function case_decided_by_decision();
