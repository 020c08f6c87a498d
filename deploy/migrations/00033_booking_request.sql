-- +goose Up
-- The same key of the same person books once (scheduling S2).
create table booking_request (
    organization_id uuid        not null,
    actor_id        uuid        not null,
    key             text        not null constraint booking_request_key_length check (length(key) between 1 and 100),
    request_sha256  bytea       not null constraint booking_request_hash_length check (length(request_sha256) = 32),
    appointment_id  uuid        not null,
    at              timestamptz not null,
    constraint booking_request_once primary key (organization_id, actor_id, key),
    constraint booking_request_appointment_fkey foreign key (organization_id, appointment_id)
        references appointment (organization_id, id) deferrable initially deferred
);
alter table booking_request enable row level security;
alter table booking_request force row level security;
create policy booking_request_tenant on booking_request to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
