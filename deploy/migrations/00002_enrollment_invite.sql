-- The first passkey of a person comes by an invitation of somebody who knows the
-- person: one use, some days, the hash of its token only. And finding the leaves of
-- one object, and the guest logins of one seat, without reading everything.

-- +goose Up

create table enrollment_invite (
  token_hash bytea primary key,
  person_id uuid not null references person (id),
  issued_by uuid references person (id),
  issued_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  revoked_at timestamptz,
  constraint enrollment_invite_token_length check (octet_length(token_hash) = 32),
  constraint enrollment_invite_span check (expires_at > issued_at)
);
create index enrollment_invite_person on enrollment_invite (person_id);

create index login_seat on login (seat) where seat <> '';

-- An index of the leaves by the objects they name. It proves nothing: the leaf does.
create table audit_object (
  kind text not null,
  id text not null,
  leaf_index bigint not null references audit_leaf (index),
  primary key (kind, id, leaf_index)
);
create trigger audit_object_keep before update or delete on audit_object
  for each row execute function refuse_change();
create trigger audit_object_keep_all before truncate on audit_object
  for each statement execute function refuse_change();
revoke update, delete on audit_object from consilium_app;

-- +goose StatementBegin
insert into audit_object (kind, id, leaf_index)
select o.key, o.value, l.index
from audit_leaf l,
     jsonb_each_text(coalesce(convert_from(l.data, 'UTF8')::jsonb -> 'objects', '{}'::jsonb)) o;
-- +goose StatementEnd
