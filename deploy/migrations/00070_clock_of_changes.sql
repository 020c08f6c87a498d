-- What changes about a person is recorded by the service's clock, which the
-- transaction brings, as everything else is; without one it is the database's.

-- +goose Up
-- +goose StatementBegin
create function service_now() returns timestamptz
language sql stable
set search_path = pg_catalog, public
as $$ select coalesce(nullif(current_setting('consilium.now', true), '')::timestamptz, now()) $$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function role_grant_changes() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
begin
  insert into credential_change (id, person_id, cause, from_at, recorded_at)
  values (gen_random_uuid(), new.person_id, 'role', coalesce(new.valid_until, new.valid_from), service_now());
  return new;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function person_changes() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
begin
  insert into credential_change (id, person_id, cause, from_at, recorded_at)
  values (gen_random_uuid(), new.id, 'person', service_now(), service_now());
  return new;
end
$$;
-- +goose StatementEnd
