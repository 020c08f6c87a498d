-- Answers to invitations that came by mail. Of a message is kept what it answers and
-- whose address it bears; its text is kept nowhere.

-- +goose Up
create table mail_reply (
    id              uuid        not null constraint mail_reply_pkey primary key,
    organization_id uuid        not null,
    appointment_id  uuid        not null,
    message_sha256  bytea       not null constraint mail_reply_hash_length check (length(message_sha256) = 32),
    address         text        not null constraint mail_reply_address_length check (length(address) between 3 and 254), -- of the attendee, lower case
    vouched         bool        not null, -- the operator's mail server says that the address wrote it
    method          text        not null constraint mail_reply_method_known check (method in ('REPLY', 'COUNTER')),
    response        text        not null constraint mail_reply_response_known check (response in ('accepted', 'declined', 'tentative')),
    sequence        int         not null,
    stamped_at      timestamptz not null, -- by the calendar that wrote it
    recurrence_at   timestamptz,
    proposed_start  timestamptz,
    proposed_end    timestamptz,
    state           text        not null constraint mail_reply_state_known check (state in ('received', 'applied', 'open', 'done')),
    reason          text        not null, -- code, why a person must look at it
    seat_id         uuid        constraint mail_reply_seat_fkey references seat (id), -- whose answer it was found to be
    received_at     timestamptz not null,
    handled_at      timestamptz,
    done_by         uuid        constraint mail_reply_done_by_fkey references person (id),
    done_at         timestamptz,
    constraint mail_reply_once unique (organization_id, message_sha256), -- a mail server may hand over twice
    constraint mail_reply_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id),
    constraint mail_reply_open_has_reason check (state not in ('open', 'done') or reason <> ''),
    constraint mail_reply_done check ((state = 'done') = (done_at is not null))
);
create index mail_reply_received on mail_reply (id) where (state = 'received');
create index mail_reply_open on mail_reply (organization_id, id) where (state = 'open');
create index mail_reply_appointment on mail_reply (organization_id, appointment_id);
alter table mail_reply enable row level security;
alter table mail_reply force row level security;
create policy mail_reply_tenant on mail_reply to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy mail_reply_look on mail_reply for select to consilium_owner using (true);

-- reply_clinic tells which clinic booked what a calendar's id names.
-- +goose StatementBegin
create function reply_clinic(uid text) returns table (organization_id uuid, appointment_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select a.organization_id, a.id from appointment a where a.ical_uid = uid
$$;
-- +goose StatementEnd

-- replies_due tells which answers of which clinics were received and not looked at, in
-- the order in which they came.
-- +goose StatementBegin
create function replies_due(most int) returns table (organization_id uuid, reply_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select r.organization_id, r.id from mail_reply r where r.state = 'received' order by r.id limit most
$$;
-- +goose StatementEnd
revoke all on function reply_clinic(text), replies_due(int) from public;
grant execute on function reply_clinic(text), replies_due(int) to consilium_app;
