-- That a holder was told of the end of a credential, once for each period and each
-- number of days before it.

-- +goose Up

create table credential_reminder (
  credential_id uuid not null references credential (id),
  ends_at timestamptz not null,
  days integer not null,
  told_at timestamptz not null,
  constraint credential_reminder_once primary key (credential_id, ends_at, days),
  constraint credential_reminder_days_known check (days in (90, 60, 30, 7))
);
create trigger credential_reminder_append_only before update or delete on credential_reminder
  for each row execute function refuse_change();
create trigger credential_reminder_keep_all before truncate on credential_reminder
  for each statement execute function refuse_change();
