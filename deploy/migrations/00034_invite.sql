-- +goose Up
-- A link by which somebody without an account takes one seat. The token itself is
-- kept nowhere.
create table invite (
    id              uuid        not null constraint invite_pkey primary key,
    organization_id uuid        not null,
    appointment_id  uuid        not null,
    seat_id         uuid        not null constraint invite_seat_fkey references seat (id),
    token_sha256    bytea       not null,
    created_at      timestamptz not null,
    expires_at      timestamptz not null,
    redeemed_at     timestamptz,
    revoked_at      timestamptz,
    constraint invite_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id),
    constraint invite_token_unique unique (organization_id, token_sha256),
    constraint invite_hash_length check (length(token_sha256) = 32)
);
create index invite_seat on invite (organization_id, seat_id);
alter table invite enable row level security;
alter table invite force row level security;
create policy invite_tenant on invite to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
