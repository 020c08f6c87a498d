-- What was known, and since when, of the roles that people hold and of where they are
-- established: a question about the past is answered by it. role_grant and person keep
-- what is known now.

-- +goose Up

create table role_known (
  grant_id uuid not null references role_grant (id),
  valid_until timestamptz, -- as known then; null: open
  known tstzrange not null,
  constraint role_known_one exclude using gist (grant_id with =, known with &&)
);
create index role_known_grant on role_known (grant_id);
create trigger role_known_append_only before update or delete on role_known
  for each row execute function keep_but_close();
create trigger role_known_keep_all before truncate on role_known
  for each statement execute function refuse_change();

create table person_known (
  person_id uuid not null references person (id),
  home text not null,
  languages text[] not null,
  known tstzrange not null,
  constraint person_known_one exclude using gist (person_id with =, known with &&)
);
create index person_known_person on person_known (person_id);
create trigger person_known_append_only before update or delete on person_known
  for each row execute function keep_but_close();
create trigger person_known_keep_all before truncate on person_known
  for each statement execute function refuse_change();

-- What was recorded so far. That a role ends was told to those who keep bookings when it
-- was recorded; before that it was open. An end that was given with the role itself was
-- known from the beginning.
insert into role_known (grant_id, valid_until, known)
select g.id, null, tstzrange(g.granted_at, e.recorded_at)
from role_grant g
join lateral (
  select min(c.recorded_at) as recorded_at
  from credential_change c
  where c.person_id = g.person_id and c.cause = 'role' and c.from_at = g.valid_until and c.recorded_at > g.granted_at) e on e.recorded_at is not null
where g.valid_until is not null
  and not exists (select 1 from credential_change c
    where c.person_id = g.person_id and c.cause = 'role' and c.from_at = g.valid_until and c.recorded_at = g.granted_at);
insert into role_known (grant_id, valid_until, known)
select g.id, g.valid_until, tstzrange(coalesce((select max(upper(k.known)) from role_known k where k.grant_id = g.id), g.granted_at), null)
from role_grant g;
insert into person_known (person_id, home, languages, known)
select p.id, p.home, p.languages, tstzrange(p.created_at, null)
from person p;

-- +goose StatementBegin
create function role_becomes_known() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
declare
  since timestamptz := new.granted_at;
begin
  if tg_op = 'UPDATE' then
    update role_known set known = tstzrange(lower(known), greatest(service_now(), lower(known)))
    where grant_id = new.id and upper_inf(known);
    since := greatest(service_now(), (select max(upper(k.known)) from role_known k where k.grant_id = new.id));
  end if;
  insert into role_known (grant_id, valid_until, known) values (new.id, new.valid_until, tstzrange(since, null));
  return new;
end
$$;
-- +goose StatementEnd
create trigger role_becomes_known after insert or update on role_grant
  for each row execute function role_becomes_known();

-- +goose StatementBegin
create function person_becomes_known() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
declare
  since timestamptz := new.created_at;
begin
  if tg_op = 'UPDATE' then
    update person_known set known = tstzrange(lower(known), greatest(service_now(), lower(known)))
    where person_id = new.id and upper_inf(known);
    since := greatest(service_now(), (select max(upper(k.known)) from person_known k where k.person_id = new.id));
  end if;
  insert into person_known (person_id, home, languages, known) values (new.id, new.home, new.languages, tstzrange(since, null));
  return new;
end
$$;
-- +goose StatementEnd
create trigger person_becomes_known after insert on person
  for each row execute function person_becomes_known();
create trigger person_becomes_otherwise_known after update on person
  for each row when (old.home is distinct from new.home or old.languages is distinct from new.languages)
  execute function person_becomes_known();
