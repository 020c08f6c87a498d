-- Who was told before a statement about a specialist's own place ends: once at each mark
-- of one statement. Rows are about persons of the platform.

-- +goose Up

create table own_place_reminder (
  person_id uuid not null references person (id),
  place text not null,
  ends_at timestamptz not null,
  days integer not null,
  told_at timestamptz not null,
  constraint own_place_reminder_once primary key (person_id, place, ends_at, days),
  constraint own_place_reminder_days_known check (days in (30, 7, 0)),
  constraint own_place_reminder_place_code check (place ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$')
);
create trigger own_place_reminder_append_only before update or delete on own_place_reminder
  for each row execute function refuse_change();
create trigger own_place_reminder_keep_all before truncate on own_place_reminder
  for each statement execute function refuse_change();
