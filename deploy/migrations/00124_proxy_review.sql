-- The yearly review of what is shared back to the distant site of a privilege by proxy:
-- when it was held, what it counted, and who held it. Rows are about persons of the
-- platform, as credentials are; there is nothing clinical in them.

-- +goose Up

create table proxy_review (
  id uuid primary key,
  credential_id uuid not null,
  subject_id uuid not null,
  held_at timestamptz not null,
  events integer not null,
  complaints integer not null,
  sent_at timestamptz not null,
  note text not null default '',
  reviewed_by uuid not null references person (id),
  recorded_at timestamptz not null,
  constraint proxy_review_subject_true foreign key (credential_id, subject_id) references credential (id, person_id),
  constraint proxy_review_not_by_subject check (reviewed_by <> subject_id),
  constraint proxy_review_counts check (events between 0 and 10000 and complaints between 0 and 10000),
  constraint proxy_review_note_length check (length(note) <= 2000),
  constraint proxy_review_not_ahead check (held_at <= recorded_at and sent_at <= recorded_at),
  constraint proxy_review_once unique (credential_id, held_at)
);
create index proxy_review_last on proxy_review (credential_id, held_at desc);
create trigger proxy_review_append_only before update or delete on proxy_review
  for each row execute function refuse_change();
create trigger proxy_review_keep_all before truncate on proxy_review
  for each statement execute function refuse_change();
