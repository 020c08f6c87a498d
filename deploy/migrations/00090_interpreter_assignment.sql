-- Who is asked to interpret a visit, until when, and what they said: a ladder for each
-- chair of the visit.

-- +goose Up
create table interpreter_assignment (
    id              uuid        not null constraint interpreter_assignment_pkey primary key,
    organization_id uuid        not null,
    appointment_id  uuid        not null,
    seat_id         uuid        not null constraint interpreter_assignment_seat_fkey references seat (id)
                                constraint interpreter_assignment_seat_unique unique,
    person_id       uuid        not null constraint interpreter_assignment_person_fkey references person (id),
    chair           int         not null constraint interpreter_assignment_chair_range check (chair between 0 and 15),
    pair            text[]      not null constraint interpreter_assignment_pair check (cardinality(pair) = 2),
    leg             int         not null constraint interpreter_assignment_leg_range check (leg between 0 and 2),
    start_at        timestamptz not null, -- the time that was asked about
    state           text        not null constraint interpreter_assignment_state_known
                                check (state in ('asked', 'accepted', 'refused', 'lapsed', 'withdrawn')),
    reason          text        not null, -- code of a refusal
    via             text        not null constraint interpreter_assignment_via_known check (via in ('', 'page', 'link', 'mail')),
    asked_at        timestamptz not null,
    deadline        timestamptz not null,
    answered_at     timestamptz,
    constraint interpreter_assignment_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id)
);
-- Nobody else is asked for a chair while one is.
create unique index interpreter_assignment_one on interpreter_assignment (appointment_id, start_at, chair) where (state in ('asked', 'accepted'));
create index interpreter_assignment_appointment on interpreter_assignment (organization_id, appointment_id);
create index interpreter_assignment_person on interpreter_assignment (person_id, start_at);

-- What those who arrange must see to, because nobody is left to ask or time is short.
create table interpreter_alert (
    appointment_id  uuid        not null,
    organization_id uuid        not null,
    start_at        timestamptz not null, -- of the visit when it was raised
    kind            text        not null constraint interpreter_alert_kind_known check (kind in ('exhausted', 'short')),
    raised_at       timestamptz not null,
    constraint interpreter_alert_pkey primary key (appointment_id, start_at, kind),
    constraint interpreter_alert_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id)
);

-- What was stated about an interpreter for a case: by the patient, or by themselves.
create table interpreter_wish (
    organization_id uuid        not null,
    case_id         uuid        not null,
    person_id       uuid        not null constraint interpreter_wish_person_fkey references person (id),
    wish            text        not null constraint interpreter_wish_known check (wish in ('prefer', 'avoid')),
    cause           text        not null constraint interpreter_wish_cause_known check (cause in ('stated', 'conflict')),
    stated_by       uuid        constraint interpreter_wish_stated_by_fkey references person (id),
    stated_at       timestamptz not null,
    constraint interpreter_wish_pkey primary key (organization_id, case_id, person_id),
    constraint interpreter_wish_case_fkey foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);

-- A link in a mail by which somebody answers without signing in first. The token itself
-- is kept nowhere.
create table interpreter_link (
    organization_id uuid        not null,
    token_sha256    bytea       not null constraint interpreter_link_hash_length check (length(token_sha256) = 32),
    assignment_id   uuid        not null constraint interpreter_link_assignment_fkey references interpreter_assignment (id),
    created_at      timestamptz not null,
    constraint interpreter_link_pkey primary key (organization_id, token_sha256)
);

-- When a visit was booked for the first time: before that its patient was not invited.
alter table appointment add column confirmed_at timestamptz;
-- +goose StatementBegin
create function appointment_confirmed() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
begin
  if new.state = 'booked' and new.confirmed_at is null then
    new.confirmed_at := service_now();
  end if;
  return new;
end
$$;
-- +goose StatementEnd
create trigger appointment_confirmed before insert or update on appointment
  for each row execute function appointment_confirmed();
create index appointment_pending on appointment (start_at) where (state = 'pending');

create policy appointment_confirm_once on appointment for update to consilium_owner using (confirmed_at is null) with check (true);
update appointment set confirmed_at = created_at where state in ('booked', 'in_progress', 'fulfilled', 'no_show', 'needs_attention', 'pending');
drop policy appointment_confirm_once on appointment;

insert into interpreter_assignment (id, organization_id, appointment_id, seat_id, person_id, chair, pair, leg, start_at, state, reason, via, asked_at, deadline, answered_at)
select gen_random_uuid(), s.organization_id, s.appointment_id, s.id, s.person_id,
    row_number() over (partition by s.appointment_id order by s.id) - 1, s.pair, s.leg, a.start_at,
    case when s.response = 'accepted' then 'accepted' else 'asked' end, '', '', a.created_at, least(now() + interval '1 day', a.start_at), s.responded_at
from seat s
join appointment a on a.id = s.appointment_id
where s.role = 'interpreter' and s.released_at is null and a.state in ('pending', 'booked', 'in_progress', 'needs_attention');

alter table interpreter_assignment enable row level security;
alter table interpreter_assignment force row level security;
create policy interpreter_assignment_tenant_or_own on interpreter_assignment for select to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid
        or person_id = (select current_setting('consilium.person'))::uuid);
create policy interpreter_assignment_insert on interpreter_assignment for insert to consilium_app
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy interpreter_assignment_update on interpreter_assignment for update to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy interpreter_assignment_look on interpreter_assignment for select to consilium_owner using (true);

alter table interpreter_alert enable row level security;
alter table interpreter_alert force row level security;
create policy interpreter_alert_tenant on interpreter_alert to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy interpreter_alert_look on interpreter_alert for select to consilium_owner using (true);

alter table interpreter_wish enable row level security;
alter table interpreter_wish force row level security;
create policy interpreter_wish_tenant on interpreter_wish to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);

alter table interpreter_link enable row level security;
alter table interpreter_link force row level security;
create policy interpreter_link_tenant on interpreter_link to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);

-- interpreter_load tells of people how much they carried since then: weighed minutes of
-- hard hours, and minutes of visits they said yes to. Not where or for whom.
-- +goose StatementBegin
create function interpreter_load(persons uuid[], since timestamptz) returns table (person_id uuid, balance int, minutes int)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select p.id, coalesce(f.balance, 0)::int, coalesce(l.minutes, 0)::int
    from unnest(persons) as p(id)
    left join lateral (
        select sum(e.weight) as balance from fair_hours_entry e where e.person_id = p.id and e.start_at >= since) f on true
    left join lateral (
        select sum(extract(epoch from upper(s.during) - lower(s.during)) / 60) as minutes
        from seat s
        where s.person_id = p.id and s.released_at is null and s.role = 'interpreter' and s.response = 'accepted'
          and s.during && tstzrange(since, null)) l on true
$$;
-- +goose StatementEnd

-- interpreters_due tells which visits of which clinics wait for an interpreter and have
-- something to be done about it: a deadline has passed, a chair is empty, or the start
-- is nearer than short and nobody was alerted.
-- +goose StatementBegin
create function interpreters_due(at timestamptz, short timestamptz, most int) returns table (organization_id uuid, appointment_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select a.organization_id, a.id
    from appointment a
    where a.state = 'pending' and a.start_at > at
      and (exists (
          select from interpreter_assignment x
          where x.organization_id = a.organization_id and x.appointment_id = a.id and x.start_at = a.start_at
            and (x.state = 'asked' and x.deadline <= at
                or x.state in ('refused', 'lapsed') and not exists (
                    select from interpreter_assignment y
                    where y.appointment_id = a.id and y.start_at = a.start_at and y.chair = x.chair and y.state in ('asked', 'accepted'))))
        or a.start_at <= short and not exists (
          select from interpreter_alert r where r.appointment_id = a.id and r.start_at = a.start_at))
    order by a.start_at, a.id
    limit most
$$;
-- +goose StatementEnd
revoke all on function interpreter_load(uuid[], timestamptz), interpreters_due(timestamptz, timestamptz, int) from public;
grant execute on function interpreter_load(uuid[], timestamptz), interpreters_due(timestamptz, timestamptz, int) to consilium_app;
