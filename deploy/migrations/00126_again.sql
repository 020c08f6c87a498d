-- What comes a second time and is another thing: a past answer that was altered again
-- after somebody had looked into it, and a pack file that is brought again for other
-- dates. A difference is known by what the altered answer is, so that another alteration
-- is another difference. The former tables stay as they are for the binary before this.

-- +goose Up

create table replay_finding (
  id uuid primary key,
  determination_id uuid not null references determination (id),
  print bytea not null, -- of the row as it was found: its hash, facts, answer and decision
  fault text not null,
  found_at timestamptz not null,
  constraint replay_finding_once unique (determination_id, print, fault),
  constraint replay_finding_print_length check (octet_length(print) = 32),
  constraint replay_finding_fault_known check (fault in ('differs', 'edition-missing'))
);
create trigger replay_finding_append_only before update or delete on replay_finding
  for each row execute function refuse_change();
create trigger replay_finding_keep_all before truncate on replay_finding
  for each statement execute function refuse_change();

create table replay_explanation (
  finding_id uuid primary key references replay_finding (id),
  person_id uuid references person (id), -- null: the operator, by a command
  reason text not null,
  explained_at timestamptz not null,
  constraint replay_explanation_reason check (length(trim(reason)) between 1 and 2000)
);
create trigger replay_explanation_append_only before update or delete on replay_explanation
  for each row execute function refuse_change();
create trigger replay_explanation_keep_all before truncate on replay_explanation
  for each statement execute function refuse_change();

-- determination_print is the same for the same row and another for any other.
create function determination_print(d determination) returns bytea
language sql
immutable
set search_path = pg_catalog
as $$
  select sha256(d.hash || sha256(convert_to(d.facts, 'UTF8')) || sha256(convert_to(d.answer, 'UTF8')) || convert_to(d.decision, 'UTF8'))
$$;

insert into replay_finding (id, determination_id, print, fault, found_at)
select x.determination_id, x.determination_id, determination_print(d), x.fault, x.found_at
from replay_difference x
join determination d on d.id = x.determination_id;
insert into replay_explanation (finding_id, person_id, reason, explained_at)
select determination_id, person_id, reason, acknowledged_at
from replay_acknowledgement;

-- The same file for other dates is another draft. The constraint keeps its name, by which
-- the binary before this knows it.
alter table pack_draft drop constraint pack_draft_once;
alter table pack_draft add constraint pack_draft_once unique (code, version, sha256, effective);
