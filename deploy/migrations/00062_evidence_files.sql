-- Evidence in the file store: where the bytes are may change once, from the database
-- to the store, their hash never. What was found missing or altered is kept, and what
-- was erased when its time was over.

-- +goose Up

-- +goose StatementBegin
create function evidence_moves_only() returns trigger
language plpgsql
set search_path = pg_catalog
as $$
begin
  if tg_op = 'UPDATE' and to_jsonb(new) - 'bytes_ref' = to_jsonb(old) - 'bytes_ref'
    and old.bytes_ref = 'database' and new.bytes_ref = 'blob' then
    return new;
  end if;
  raise exception 'rows of evidence do not change'
    using errcode = 'restrict_violation', table = tg_table_name, constraint = tg_name;
end
$$;
-- +goose StatementEnd
drop trigger evidence_append_only on evidence;
create trigger evidence_append_only before update or delete on evidence
  for each row execute function evidence_moves_only();
create index evidence_in_database on evidence (sha256) where bytes_ref = 'database';

create table evidence_fault (
  sha256 bytea not null references evidence (sha256),
  found_at timestamptz not null,
  fault text not null,
  mended_at timestamptz, -- the same bytes were sent again, or found in order
  constraint evidence_fault_pk primary key (sha256, found_at),
  constraint evidence_fault_known check (fault in ('missing', 'altered')),
  constraint evidence_fault_span check (mended_at >= found_at)
);
create unique index evidence_fault_open on evidence_fault (sha256) where mended_at is null;
create trigger evidence_fault_keep_all before truncate on evidence_fault
  for each statement execute function refuse_change();
revoke delete on evidence_fault from consilium_app;

create table evidence_erasure (
  sha256 bytea not null references evidence (sha256),
  erased_at timestamptz not null,
  erased_by uuid references person (id), -- null: a command of the operator
  reason text not null,
  constraint evidence_erasure_once primary key (sha256),
  constraint evidence_erasure_reason check (reason <> '')
);
create trigger evidence_erasure_append_only before update or delete on evidence_erasure
  for each row execute function refuse_change();
create trigger evidence_erasure_keep_all before truncate on evidence_erasure
  for each statement execute function refuse_change();
