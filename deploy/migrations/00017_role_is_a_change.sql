-- For whom somebody works, where they are established and whether they may sign in
-- count in determinations: who keeps bookings hears of it.

-- +goose Up
-- +goose StatementBegin
create function role_grant_changes() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
begin
  insert into credential_change (id, person_id, cause, from_at, recorded_at)
  values (gen_random_uuid(), new.person_id, 'role', coalesce(new.valid_until, new.valid_from), now());
  return new;
end
$$;
-- +goose StatementEnd
create trigger role_grant_changes after insert or update on role_grant
  for each row execute function role_grant_changes();

-- +goose StatementBegin
create function person_changes() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
begin
  insert into credential_change (id, person_id, cause, from_at, recorded_at)
  values (gen_random_uuid(), new.id, 'person', now(), now());
  return new;
end
$$;
-- +goose StatementEnd
create trigger person_changes after update on person
  for each row when (old.home is distinct from new.home or old.languages is distinct from new.languages
    or old.disabled_at is distinct from new.disabled_at)
  execute function person_changes();
