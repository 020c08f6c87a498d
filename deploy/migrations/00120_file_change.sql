-- What is on file about a person or an organization is kept by processes as they read it,
-- for as long as nothing more was written about it: one row here for each row written,
-- in the same transaction, so that whoever sees the one sees the other. Rows are never
-- changed, hence their number names a state.

-- +goose Up
create table file_change (
  subject_id uuid not null, -- a person or an organization
  at timestamptz not null, -- when it was recorded, by the service's clock
  id uuid not null default gen_random_uuid(),
  constraint file_change_pkey primary key (subject_id, at, id)
);
-- What is on file already is known from now on.
insert into file_change (subject_id, at)
select id, now() from person
union all
select id, now() from organization;
create trigger file_change_keep before update or delete on file_change
  for each row execute function refuse_change();
create trigger file_change_keep_all before truncate on file_change
  for each statement execute function refuse_change();
revoke update, delete on file_change from consilium_app;

-- file_changed notes that a row was written about whom its column, the argument, names:
-- directly, or through the credential.
-- +goose StatementBegin
create function file_changed() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
declare
  written jsonb[];
  one jsonb;
  subject uuid;
begin
  if tg_op <> 'INSERT' then
    written := array[to_jsonb(old)];
  end if;
  if tg_op <> 'DELETE' then
    written := written || to_jsonb(new);
  end if;
  foreach one in array written loop
    subject := (one ->> tg_argv[0])::uuid;
    if tg_argv[0] = 'credential_id' then
      select person_id into subject from credential where id = subject;
    end if;
    insert into file_change (subject_id, at)
    values (subject, greatest(service_now(), (one ->> 'recorded_at')::timestamptz));
  end loop;
  return null;
end
$$;
-- +goose StatementEnd

create trigger person_file_changed after insert or update or delete on person
  for each row execute function file_changed('id');
create trigger role_grant_file_changed after insert or update or delete on role_grant
  for each row execute function file_changed('person_id');
create trigger credential_file_changed after insert or update or delete on credential
  for each row execute function file_changed('person_id');
create trigger credential_claim_file_changed after insert or update or delete on credential_claim
  for each row execute function file_changed('credential_id');
create trigger verification_file_changed after insert or update or delete on verification
  for each row execute function file_changed('subject_id');
create trigger credential_status_file_changed after insert or update or delete on credential_status
  for each row execute function file_changed('subject_id');
create trigger exclusion_check_file_changed after insert or update or delete on exclusion_check
  for each row execute function file_changed('person_id');
create trigger exclusion_file_changed after insert or update or delete on exclusion
  for each row execute function file_changed('person_id');
create trigger exclusion_decision_file_changed after insert or update or delete on exclusion_decision
  for each row execute function file_changed('subject_id');
create trigger organization_file_changed after insert or update or delete on organization
  for each row execute function file_changed('id');
create trigger facility_license_file_changed after insert or update or delete on facility_license
  for each row execute function file_changed('organization_id');
create trigger agreement_file_changed after insert or update or delete on agreement
  for each row execute function file_changed('from_organization_id');
