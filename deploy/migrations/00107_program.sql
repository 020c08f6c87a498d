-- The rules of a presence: how much fits into a window, who may place a case and until
-- when, what becomes of a window that stays empty, and who stands in.

-- +goose Up
alter table presence
    add column capacity_cases   int    not null default 0 constraint presence_capacity_cases_range check (capacity_cases between 0 and 50),       -- visits a window; 0: no limit
    add column capacity_minutes int    not null default 0 constraint presence_capacity_minutes_range check (capacity_minutes between 0 and 480),  -- booked a window; 0: no limit
    add column intake_hours     int    not null default 0 constraint presence_intake_hours_range check (intake_hours between 0 and 336),          -- before a window; 0: until it begins
    add column intake_by        text   not null default 'any' constraint presence_intake_by_known check (intake_by in ('any', 'coordinator', 'physician')),
    add column unfilled         text   not null default 'keep' constraint presence_unfilled_known check (unfilled in ('keep', 'release')),
    add column substitutes      uuid[] not null default '{}' constraint presence_substitutes_count check (cardinality(substitutes) <= 10);
create policy presence_look on presence for select to consilium_owner using (true);

drop policy presence_tenant_or_own on presence;
create policy presence_tenant_or_own on presence to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid
        or person_id = (select current_setting('consilium.person'))::uuid
        or exists (select from presence_window w where w.presence_id = presence.id and w.person_id = (select current_setting('consilium.person'))::uuid))
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);

-- Who is there may be another than whom the presence is of. A window that was released
-- is free for other things.
alter table presence_window drop constraint presence_window_state_known;
alter table presence_window add constraint presence_window_state_known check (state in ('open', 'moved', 'canceled', 'released'));
alter table presence_window drop constraint presence_no_overlap;
alter table presence_window add constraint presence_no_overlap
    exclude using gist (person_id with =, during with &&) where (state in ('open', 'moved'));
alter table presence_window add column looked_at timestamptz; -- whether it is filled, shortly before

-- presence_windows tells a clinic when people are there for it, whether another visit of
-- so many minutes still has a place there and who may place it; and when they are promised
-- to another clinic, which is not named.
drop function presence_windows(uuid[], tstzrange, uuid);
-- +goose StatementBegin
create function presence_windows(persons uuid[], span tstzrange, clinic uuid, at timestamptz, minutes int)
    returns table (person_id uuid, from_unix bigint, to_unix bigint, here bool, free bool, intake_by text)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select p.id, extract(epoch from lower(w.during))::bigint, extract(epoch from upper(w.during))::bigint, w.organization_id = clinic,
        case
        when w.organization_id <> clinic then false
        when r.intake_hours > 0 and at > lower(w.during) - make_interval(hours => r.intake_hours) then false
        when r.capacity_cases = 0 and r.capacity_minutes = 0 then true
        else (
            select (r.capacity_cases = 0 or count(*) < r.capacity_cases)
               and (r.capacity_minutes = 0 or coalesce(sum(extract(epoch from a.duration) / 60), 0) + minutes <= r.capacity_minutes)
            from seat s
            join appointment a on a.id = s.appointment_id
            where s.person_id = w.person_id and s.organization_id = clinic and s.role = 'specialist' and s.during && w.during
              and s.released_at is null and (s.expires_at is null or s.expires_at > at)
              and a.start_at >= lower(w.during) and a.start_at < upper(w.during))
        end,
        r.intake_by
    from unnest(persons) as p(id)
    join presence_window w on w.person_id = p.id and w.during && span and w.state in ('open', 'moved')
    join presence r on r.id = w.presence_id
    order by 1, 2
$$;
-- +goose StatementEnd

-- windows_unfilled tells which windows of which clinics begin before a moment and were not
-- looked at.
-- +goose StatementBegin
create function windows_unfilled(at timestamptz, soon timestamptz, most int) returns table (organization_id uuid, window_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select w.organization_id, w.id
    from presence_window w
    where w.looked_at is null and w.state in ('open', 'moved') and lower(w.during) > at and lower(w.during) <= soon
    order by lower(w.during), w.id
    limit most
$$;
-- +goose StatementEnd

-- presences_open tells which presences of which clinics have no last date, and fewer
-- windows ahead than most, none of them beyond until.
-- +goose StatementBegin
create function presences_open(at timestamptz, until timestamptz, most int) returns table (organization_id uuid, presence_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select r.organization_id, r.id
    from presence r
    join presence_window w on w.presence_id = r.id
    where r.rule->>'until' is null
    group by r.organization_id, r.id
    having count(*) filter (where lower(w.during) > at) < most and max(lower(w.during)) <= until
$$;
-- +goose StatementEnd

-- waiting_due tells the job which entries of which clinics there is something to do for:
-- of urgent cases first, then who waits longest.
-- +goose StatementBegin
create or replace function waiting_due(at timestamptz, most int) returns table (organization_id uuid, waiting_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select w.organization_id, w.id
    from waiting w
    join clinical_case c on c.organization_id = w.organization_id and c.id = w.case_id
    where w.state = 'waiting' or w.state = 'offered' and w.offered_until <= at
    order by array_position(array['emergency', 'urgent', 'soon', 'routine'], c.urgency), w.created_at, w.id
    limit most
$$;
-- +goose StatementEnd
revoke all on function presence_windows(uuid[], tstzrange, uuid, timestamptz, int), windows_unfilled(timestamptz, timestamptz, int), presences_open(timestamptz, timestamptz, int) from public;
grant execute on function presence_windows(uuid[], tstzrange, uuid, timestamptz, int), windows_unfilled(timestamptz, timestamptz, int), presences_open(timestamptz, timestamptz, int) to consilium_app;
