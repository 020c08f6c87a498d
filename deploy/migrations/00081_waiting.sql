-- Who waits for a time: a case with a specialist, within two instants. What becomes
-- free is held for the one who waits longest, until a deadline.

-- +goose Up
create table waiting (
    id              uuid        not null constraint waiting_pkey primary key,
    organization_id uuid        not null constraint waiting_organization_fkey references organization (id),
    case_id         uuid        not null,
    kind            text        not null constraint waiting_kind_known check (kind in ('joint_video_visit', 'advise_physician')),
    specialist_id   uuid        not null constraint waiting_specialist_fkey references person (id),
    duration        interval    not null constraint waiting_duration_range check (duration between interval '5 min' and interval '8 hours'),
    earliest        timestamptz not null,
    latest          timestamptz not null,
    state           text        not null constraint waiting_state_known check (state in ('waiting', 'offered', 'booked', 'withdrawn', 'expired')),
    appointment_id  uuid, -- what is held for it, or was booked
    offered_until   timestamptz,
    passed          timestamptz[] not null default '{}', -- starts that were offered and not taken
    version         int         not null,
    created_by      uuid        not null constraint waiting_created_by_fkey references person (id),
    created_at      timestamptz not null,
    changed_at      timestamptz not null,
    constraint waiting_case_fkey foreign key (organization_id, case_id) references clinical_case (organization_id, id),
    constraint waiting_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id),
    constraint waiting_range check (earliest < latest),
    constraint waiting_offer check ((state = 'offered') = (offered_until is not null) and (state not in ('offered', 'booked') or appointment_id is not null))
);
-- A case waits once for a specialist.
create unique index waiting_once on waiting (organization_id, case_id, specialist_id) where (state in ('waiting', 'offered'));
create index waiting_open on waiting (created_at) where (state in ('waiting', 'offered'));

alter table waiting enable row level security;
alter table waiting force row level security;
create policy waiting_tenant on waiting to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy waiting_look on waiting for select to consilium_owner using (true);

-- waiting_open tells the job which entries of which clinics there is something to do
-- for, who waits longest first.
-- +goose StatementBegin
create function waiting_due(at timestamptz, most int) returns table (organization_id uuid, waiting_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select w.organization_id, w.id
    from waiting w
    where w.state = 'waiting' or w.state = 'offered' and w.offered_until <= at
    order by w.created_at, w.id
    limit most
$$;
-- +goose StatementEnd
revoke all on function waiting_due(timestamptz, int) from public;
grant execute on function waiting_due(timestamptz, int) to consilium_app;
