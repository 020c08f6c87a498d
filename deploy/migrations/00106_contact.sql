-- How a person is written to: by mail, by text message, and not at night. It belongs to
-- the person, not to a tenant, as their hours do.

-- +goose Up
create table contact (
    person_id   uuid        not null constraint contact_pkey primary key constraint contact_person_fkey references person (id),
    channel     text        not null constraint contact_channel_known check (channel in ('mail', 'sms', 'both')),
    phone       text        not null constraint contact_phone_form check (phone = '' or phone ~ '^\+[1-9][0-9]{6,14}$'), -- E.164
    verified_at timestamptz, -- of the phone
    quiet_from  int         not null constraint contact_quiet_from_range check (quiet_from between 0 and 1439), -- minutes of the wall clock
    quiet_until int         not null constraint contact_quiet_until_range check (quiet_until between 0 and 1439),
    changed_at  timestamptz not null,
    constraint contact_phone_verified check ((phone = '') = (verified_at is null)),
    constraint contact_channel_has_phone check (channel = 'mail' or phone <> '')
);

-- A number that is not used before its owner typed the code that was sent to it. The
-- code itself is kept nowhere.
create table contact_code (
    id          uuid        not null constraint contact_code_pkey primary key,
    person_id   uuid        not null constraint contact_code_person_fkey references person (id),
    phone       text        not null constraint contact_code_phone_form check (phone ~ '^\+[1-9][0-9]{6,14}$'),
    code_sha256 bytea       constraint contact_code_hash_length check (length(code_sha256) = 32), -- null before it was sent
    tries       int         not null constraint contact_code_tries_range check (tries between 0 and 5),
    asked_at    timestamptz not null,
    expires_at  timestamptz not null,
    ended_at    timestamptz -- used, or overtaken by another
);
create index contact_code_person on contact_code (person_id, asked_at);

alter table contact enable row level security;
alter table contact force row level security;
create policy contact_read on contact for select to consilium_app using (true);
create policy contact_insert on contact for insert to consilium_app
    with check (person_id = (select current_setting('consilium.person'))::uuid);
create policy contact_update on contact for update to consilium_app
    using (person_id = (select current_setting('consilium.person'))::uuid)
    with check (person_id = (select current_setting('consilium.person'))::uuid);
alter table contact_code enable row level security;
alter table contact_code force row level security;
create policy contact_code_own on contact_code to consilium_app
    using (person_id = (select current_setting('consilium.person'))::uuid)
    with check (person_id = (select current_setting('consilium.person'))::uuid);
