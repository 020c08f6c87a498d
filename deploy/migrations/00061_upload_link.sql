-- A link by which the holder of one credential sends a renewed document without
-- signing in: the hash of its token only, for one credential of one person, until it
-- expires, is revoked or is no longer needed. What comes by it is a claim with
-- evidence; each row says by which link it came.

-- +goose Up

create table credential_upload_link (
  id uuid primary key,
  token_hash bytea not null,
  credential_id uuid not null,
  person_id uuid not null,
  claim_id uuid not null, -- the period that ends
  issued_at timestamptz not null,
  expires_at timestamptz not null,
  files integer not null default 0,
  finished_at timestamptz, -- whoever holds the link said that all was sent
  revoked_at timestamptz,
  revoked_by uuid references person (id), -- null: a newer link took its place
  constraint credential_upload_link_token_once unique (token_hash),
  constraint credential_upload_link_token_length check (octet_length(token_hash) = 32),
  constraint credential_upload_link_of_person foreign key (credential_id, person_id) references credential (id, person_id),
  constraint credential_upload_link_claim_true foreign key (claim_id, credential_id) references credential_claim (id, credential_id),
  constraint credential_upload_link_span check (expires_at > issued_at),
  constraint credential_upload_link_files check (files between 0 and 10)
);
create index credential_upload_link_credential on credential_upload_link (credential_id, issued_at);

-- A link is never given to another credential or person, and never comes back.
-- +goose StatementBegin
create function upload_link_keeps() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
  if tg_op = 'UPDATE'
    and to_jsonb(new) - '{files,finished_at,revoked_at,revoked_by}'::text[] = to_jsonb(old) - '{files,finished_at,revoked_at,revoked_by}'::text[]
    and new.files >= old.files
    and (old.finished_at is null or new.finished_at = old.finished_at)
    and (old.revoked_at is null or new.revoked_at = old.revoked_at) then
    return new;
  end if;
  raise exception 'an upload link only ends'
    using errcode = 'restrict_violation', table = tg_table_name, constraint = tg_name;
end
$$;
-- +goose StatementEnd
create trigger credential_upload_link_ends before update or delete on credential_upload_link
  for each row execute function upload_link_keeps();
create trigger credential_upload_link_keep_all before truncate on credential_upload_link
  for each statement execute function refuse_change();

alter table credential_claim add column link_id uuid references credential_upload_link (id);
alter table credential_evidence add column link_id uuid references credential_upload_link (id);
