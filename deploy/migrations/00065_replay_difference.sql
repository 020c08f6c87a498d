-- Past answers that did not come out as they were recorded when they were looked at
-- again, and what was written when somebody had looked into one. While one is not
-- acknowledged no edition of a pack is published. Ids only, no organization's own.

-- +goose Up

create table replay_difference (
  determination_id uuid primary key references determination (id),
  fault text not null,
  found_at timestamptz not null,
  constraint replay_difference_fault_known check (fault in ('differs', 'edition-missing'))
);
create trigger replay_difference_append_only before update or delete on replay_difference
  for each row execute function refuse_change();
create trigger replay_difference_keep_all before truncate on replay_difference
  for each statement execute function refuse_change();

create table replay_acknowledgement (
  determination_id uuid primary key references replay_difference (determination_id),
  person_id uuid references person (id), -- null: the operator, by a command
  reason text not null,
  acknowledged_at timestamptz not null,
  constraint replay_acknowledgement_reason check (length(trim(reason)) between 1 and 2000)
);
create trigger replay_acknowledgement_append_only before update or delete on replay_acknowledgement
  for each row execute function refuse_change();
create trigger replay_acknowledgement_keep_all before truncate on replay_acknowledgement
  for each statement execute function refuse_change();
