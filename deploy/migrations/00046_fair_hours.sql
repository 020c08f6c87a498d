-- +goose Up
-- How hard the hours of visits that took place were on each person: minutes weighed
-- by the person's own clock. Insert only.
create table fair_hours_entry (
    appointment_id  uuid        not null,
    person_id       uuid        not null constraint fair_hours_entry_person_fkey references person (id),
    organization_id uuid        not null,
    start_at        timestamptz not null,
    zone            text        not null, -- the clock it was weighed by
    weight          int         not null constraint fair_hours_entry_weight_range check (weight >= 0),
    constraint fair_hours_entry_pkey primary key (appointment_id, person_id),
    constraint fair_hours_entry_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id)
);
create index fair_hours_entry_person on fair_hours_entry (person_id, start_at);
create trigger fair_hours_entry_keep before update or delete on fair_hours_entry
  for each row execute function refuse_change();
create trigger fair_hours_entry_keep_all before truncate on fair_hours_entry
  for each statement execute function refuse_change();
revoke update, delete on fair_hours_entry from consilium_app;
alter table fair_hours_entry enable row level security;
alter table fair_hours_entry force row level security;
create policy fair_hours_entry_tenant on fair_hours_entry to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy fair_hours_entry_balance on fair_hours_entry for select to consilium_owner using (true);

-- fair_hours tells of people how much they carry since then, and how many of their
-- last five visits were early, late or on a day off: not where or for whom.
-- +goose StatementBegin
create function fair_hours(persons uuid[], since timestamptz) returns table (person_id uuid, balance int, hard int, visits int)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select p.id, coalesce(b.balance, 0)::int, coalesce(l.hard, 0)::int, coalesce(l.visits, 0)::int
    from unnest(persons) as p(id)
    left join lateral (
        select sum(e.weight) as balance from fair_hours_entry e where e.person_id = p.id and e.start_at >= since) b on true
    left join lateral (
        select count(*) filter (where x.weight > 0) as hard, count(*) as visits
        from (select e.weight from fair_hours_entry e where e.person_id = p.id and e.start_at >= since order by e.start_at desc limit 5) x) l on true
$$;
-- +goose StatementEnd
revoke all on function fair_hours(uuid[], timestamptz) from public;
grant execute on function fair_hours(uuid[], timestamptz) to consilium_app;
