-- What others must look at again: also a case, whose facts changed, and an
-- organization, whose licenses or agreements did.

-- +goose Up
alter table credential_change add column case_id uuid;
alter table credential_change add column organization_id uuid references organization (id);
alter table credential_change drop constraint credential_change_of_something;
alter table credential_change add constraint credential_change_of_something
  check (person_id is not null or place is not null or case_id is not null or organization_id is not null);

-- Changes that nobody has followed yet. Those who keep bookings take them from here;
-- a change that commits late is found like any other, which no cursor promises.
create table change_pending (
  change_id uuid primary key references credential_change (id)
);
insert into change_pending (change_id)
select id
from credential_change
where recorded_at > now() - interval '1 day';

-- +goose StatementBegin
create function credential_change_told() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
begin
  insert into change_pending (change_id) values (new.id);
  perform pg_notify('credential_change', json_strip_nulls(json_build_object('id', new.id, 'person', new.person_id, 'place', new.place,
    'case', new.case_id, 'organization', new.organization_id, 'cause', new.cause,
    'from', to_char(new.from_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))::text);
  return new;
end
$$;
-- +goose StatementEnd
create trigger credential_change_told after insert on credential_change
  for each row execute function credential_change_told();
