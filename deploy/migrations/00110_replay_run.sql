-- Each time past answers were looked at again: by whom, which, and how many did not come
-- out as they were recorded. Ids and counts only, no organization's own.

-- +goose Up

create table replay_run (
  id uuid primary key,
  person_id uuid references person (id), -- null: the job of the night, or the operator by a command
  ran_at timestamptz not null,
  since timestamptz not null, -- all answers given since then were chosen
  sample int not null, -- and so many older ones
  replayed int not null,
  differing int not null,
  left_out int not null default 0, -- chosen, but too many for one run
  constraint replay_run_counts check (sample >= 0 and differing between 0 and replayed and left_out >= 0)
);
create index replay_run_last on replay_run (ran_at desc, id desc);
create trigger replay_run_append_only before update or delete on replay_run
  for each row execute function refuse_change();
create trigger replay_run_keep_all before truncate on replay_run
  for each statement execute function refuse_change();
