-- +goose Up
-- Whom to remind of which visit when: the truth that background jobs are made from
-- and read again before they act.
create table reminder (
    id              uuid        not null constraint reminder_pkey primary key,
    organization_id uuid        not null,
    appointment_id  uuid        not null,
    seat_id         uuid        not null constraint reminder_seat_fkey references seat (id),
    kind            text        not null constraint reminder_kind_known check (kind in ('week', 'day', 'hour', 'soon')),
    due_at          timestamptz not null,
    sequence        int         not null, -- of the visit's time; another one and it is stale
    state           text        not null constraint reminder_state_known check (state in ('planned', 'queued', 'sent', 'dropped', 'void')),
    changed_at      timestamptz not null,
    constraint reminder_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id),
    constraint reminder_once unique (seat_id, sequence, kind)
);
create index reminder_due on reminder (due_at) where (state = 'planned');
create index reminder_appointment on reminder (organization_id, appointment_id);
alter table reminder enable row level security;
alter table reminder force row level security;
create policy reminder_tenant on reminder to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy reminder_look on reminder for select to consilium_owner using (true);

-- reminders_due tells which clinics have reminders that fall due until then.
-- +goose StatementBegin
create function reminders_due(until timestamptz, most int) returns table (organization_id uuid, reminder_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select r.organization_id, r.id
    from reminder r
    where r.state = 'planned' and r.due_at <= until
    order by r.due_at, r.id
    limit most
$$;
-- +goose StatementEnd

-- reminders_missing tells which visits have somebody seated for whose present time no
-- reminder was planned. Who is seated minutes before the start gets none.
-- +goose StatementBegin
create function reminders_missing(at timestamptz, most int) returns table (organization_id uuid, appointment_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select a.organization_id, a.id
    from appointment a
    where a.start_at > at + interval '11 min' and a.state in ('pending', 'booked', 'needs_attention')
      and exists (
          select from seat s
          where s.organization_id = a.organization_id and s.appointment_id = a.id and s.released_at is null
            and not exists (select from reminder r where r.seat_id = s.id and r.sequence = a.ical_sequence))
    order by a.start_at, a.id
    limit most
$$;
-- +goose StatementEnd
revoke all on function reminders_due(timestamptz, int), reminders_missing(timestamptz, int) from public;
grant execute on function reminders_due(timestamptz, int), reminders_missing(timestamptz, int) to consilium_app;
