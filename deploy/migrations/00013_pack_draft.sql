-- Editions of packs before somebody else publishes them. A published one stands in
-- pack_edition with who drafted and who published it.

-- +goose Up

create table pack_draft (
  id uuid primary key,
  code text not null,
  version text not null,
  sha256 bytea not null,
  content text not null,
  effective tstzrange not null,
  drafted_by uuid not null references person (id),
  drafted_at timestamptz not null,
  constraint pack_draft_once unique (code, version, sha256),
  constraint pack_draft_content_true check (sha256(convert_to(content, 'UTF8')) = sha256),
  constraint pack_draft_effective_some check (not isempty(effective))
);
create trigger pack_draft_append_only before update or delete on pack_draft
  for each row execute function refuse_change();
create trigger pack_draft_keep_all before truncate on pack_draft
  for each statement execute function refuse_change();
