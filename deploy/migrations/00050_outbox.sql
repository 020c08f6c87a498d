-- Captured mail of the demonstration. It belongs to no clinic and is written by the
-- demonstration only: its links let a guest in.

-- +goose Up

create table outbox_message (
  id uuid primary key,
  key text not null,
  leaf_index bigint not null references audit_leaf (index),
  person_id uuid not null references person (id),
  name text not null,
  email text not null,
  language text not null,
  subject text not null,
  body text not null,
  created_at timestamptz not null,
  constraint outbox_message_key unique (key),
  constraint outbox_message_body_present check (body <> '')
);

create table outbox_attachment (
  message_id uuid not null references outbox_message (id),
  position integer not null,
  name text not null,
  content_type text not null,
  data bytea not null,
  primary key (message_id, position),
  constraint outbox_attachment_position_natural check (position >= 0),
  constraint outbox_attachment_size check (octet_length(data) between 1 and 1048576)
);
