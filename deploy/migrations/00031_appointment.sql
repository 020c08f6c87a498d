-- +goose Up
create table appointment (
    id               uuid        not null constraint appointment_pkey primary key,
    organization_id  uuid        not null constraint appointment_organization_fkey references organization (id),
    kind             text        not null constraint appointment_kind_known check (kind in ('joint_video_visit', 'advise_physician')),
    case_id          uuid,
    start_local      timestamp   not null,
    anchor_zone      text        not null,
    anchor_person_id uuid        not null constraint appointment_anchor_fkey references person (id),
    start_at         timestamptz not null,
    duration         interval    not null,
    tzdata_version   text        not null,
    ical_uid         text        not null constraint appointment_uid_unique unique,
    ical_sequence    int         not null,
    interpreted      text[],
    state            text        not null,
    reason           text        not null,
    tasks            jsonb       not null,
    note             text        not null constraint appointment_note_length check (length(note) <= 500),
    version          int         not null,
    created_by       uuid        constraint appointment_created_by_fkey references person (id),
    created_at       timestamptz not null,
    changed_at       timestamptz not null,
    constraint appointment_case_fkey foreign key (organization_id, case_id) references clinical_case (organization_id, id),
    constraint appointment_tenant_unique unique (organization_id, id),
    constraint appointment_duration_range check (duration between interval '5 min' and interval '8 hours'),
    constraint appointment_interpreted_pair check (cardinality(interpreted) = 2),
    constraint appointment_state_known check (state in ('held', 'pending', 'booked', 'in_progress', 'fulfilled', 'canceled',
        'no_show', 'lapsed', 'needs_attention'))
);
create index appointment_case on appointment (organization_id, case_id, start_at);
create index appointment_start on appointment (organization_id, start_at);

alter table appointment enable row level security;
alter table appointment force row level security;
create policy appointment_tenant on appointment to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
