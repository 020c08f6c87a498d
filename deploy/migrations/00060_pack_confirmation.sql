-- That an officer looked a rule up at its source and found it so: one row for each
-- confirmation, of the rule's content as it was. The last one of a content counts.
-- Nothing clinical, and no organization's own.

-- +goose Up

create table pack_confirmation (
  id uuid primary key,
  code text not null,
  rule text not null,
  rule_sha256 bytea not null,
  confirmed_by uuid not null references person (id),
  name text not null,
  role text not null,
  organization text not null,
  looked_on date not null,
  evidence text not null,
  address text not null default '',
  evidence_sha256 bytea references evidence (sha256),
  again_on date not null,
  recorded_at timestamptz not null,
  constraint pack_confirmation_sha256_length check (octet_length(rule_sha256) = 32),
  constraint pack_confirmation_named check (name <> '' and evidence <> ''),
  constraint pack_confirmation_again check (again_on > looked_on)
);
create index pack_confirmation_rule on pack_confirmation (code, rule, rule_sha256, recorded_at);
create trigger pack_confirmation_append_only before update or delete on pack_confirmation
  for each row execute function refuse_change();
create trigger pack_confirmation_keep_all before truncate on pack_confirmation
  for each statement execute function refuse_change();
