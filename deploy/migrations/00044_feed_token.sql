-- +goose Up
-- The secret address from which a person's calendar reads their visits. The secret
-- itself is kept nowhere; each person has one at a time.
create table feed_token (
    id           uuid        not null constraint feed_token_pkey primary key,
    person_id    uuid        not null constraint feed_token_person_fkey references person (id),
    token_sha256 bytea       not null constraint feed_token_unique unique,
    created_at   timestamptz not null,
    revoked_at   timestamptz,
    constraint feed_token_hash_length check (length(token_sha256) = 32)
);
create unique index feed_token_once on feed_token (person_id) where (revoked_at is null);
alter table feed_token enable row level security;
alter table feed_token force row level security;
create policy feed_token_own on feed_token to consilium_app
    using (person_id = (select current_setting('consilium.person'))::uuid)
    with check (person_id = (select current_setting('consilium.person'))::uuid);
