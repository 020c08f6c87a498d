-- Files of regulators and list owners: the bytes stand in evidence, what was done
-- with each row here. Nothing clinical, and no organization's own.

-- +goose Up

create table registry_import (
  id uuid primary key,
  source text not null,
  format text not null,
  mapping text not null,
  sha256 bytea not null references evidence (sha256),
  received_by uuid references person (id),
  received_at timestamptz not null,
  constraint registry_import_format_known check (format in ('csv', 'json')),
  constraint registry_import_source_present check (source <> ''),
  constraint registry_import_once unique (source, sha256)
);
create trigger registry_import_append_only before update or delete on registry_import
  for each row execute function refuse_change();
create trigger registry_import_keep_all before truncate on registry_import
  for each statement execute function refuse_change();

-- That a file was applied, once.
create table registry_application (
  import_id uuid not null references registry_import (id),
  applied_by uuid references person (id),
  applied_at timestamptz not null,
  constraint registry_application_once primary key (import_id)
);
create trigger registry_application_append_only before update or delete on registry_application
  for each row execute function refuse_change();
create trigger registry_application_keep_all before truncate on registry_application
  for each statement execute function refuse_change();

create table registry_row (
  import_id uuid not null references registry_application (import_id),
  row integer not null,
  outcome text not null,
  credential_id uuid references credential (id),
  person_id uuid references person (id),
  content jsonb not null,
  constraint registry_row_once primary key (import_id, row, outcome),
  constraint registry_row_outcome_known check (outcome in ('new', 'changed', 'adverse', 'same', 'unmatched', 'absent')),
  constraint registry_row_natural check (row >= 0)
);
create index registry_row_credential on registry_row (credential_id, import_id);
create trigger registry_row_append_only before update or delete on registry_row
  for each row execute function refuse_change();
create trigger registry_row_keep_all before truncate on registry_row
  for each statement execute function refuse_change();
