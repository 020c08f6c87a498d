-- When each open case is looked at again, and what stands against its people. Unlike
-- a visit a case is judged for now, so the clock alone may change the answer.

-- +goose Up
create table case_review (
    case_id         uuid        not null constraint case_review_pkey primary key,
    organization_id uuid        not null,
    next_change_at  timestamptz, -- null: nothing is known that will change it
    reviewed_at     timestamptz,
    held            jsonb       not null default '[]', -- by person: why they may not do their part
    constraint case_review_case_fkey foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);
create index case_review_due on case_review (next_change_at) where (next_change_at is not null);

-- +goose StatementBegin
create function case_reviewed() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
begin
  insert into case_review (case_id, organization_id) values (new.id, new.organization_id);
  return new;
end
$$;
-- +goose StatementEnd
create trigger case_reviewed after insert on clinical_case
  for each row execute function case_reviewed();

create policy case_member_look_again on case_member for select to consilium_owner using (true);

insert into case_review (case_id, organization_id, next_change_at)
select id, organization_id, changed_at
from clinical_case;

alter table case_review enable row level security;
alter table case_review force row level security;
create policy case_review_tenant on case_review to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy case_review_look on case_review for select to consilium_owner using (true);
create policy case_review_mark on case_review for update to consilium_owner using (true)
    with check (organization_id is not null);

-- mark_reviews as before, and the open cases concerned.
-- +goose StatementBegin
create or replace function mark_reviews(at timestamptz, most int, out changes int, out marked int)
    language plpgsql security definer
    set search_path = pg_catalog, public
as $$
declare
    taken uuid[];
    cases int;
begin
    perform pg_advisory_xact_lock(hashtext('mark_reviews'));
    with gone as (
        delete from change_pending
        where change_id in (select p.change_id from change_pending p order by p.change_id limit most)
        returning change_id
    )
    select array_agg(change_id) into taken from gone;
    changes := coalesce(cardinality(taken), 0);
    marked := 0;
    if changes = 0 then
        return;
    end if;
    -- No visit is longer than 8 hours.
    update appointment_review r
    set next_change_at = at
    where r.appointment_id in (
        select s.appointment_id
        from credential_change c
        join seat s on s.person_id = c.person_id and s.released_at is null and s.during && tstzrange(at, null)
        where c.id = any(taken)
        union
        select a.id
        from credential_change c
        join appointment a on a.organization_id = c.organization_id and a.case_id = c.case_id and a.start_at > at - interval '8 hours'
        where c.id = any(taken)
        union
        select a.id
        from credential_change c
        join appointment a on a.organization_id = c.organization_id and a.start_at > at - interval '8 hours'
        left join clinical_case k on k.organization_id = a.organization_id and k.id = a.case_id
        where c.id = any(taken) and c.person_id is null and c.case_id is null and (c.place is null or k.place = c.place)
        union
        select a.id
        from credential_change c
        join clinical_case k on c.place in ('*', k.place, split_part(k.place, '-', 1))
        join appointment a on a.organization_id = k.organization_id and a.case_id = k.id and a.start_at > at - interval '8 hours'
        where c.id = any(taken) and c.person_id is null and c.case_id is null and c.organization_id is null
    );
    get diagnostics marked = row_count;
    update case_review r
    set next_change_at = at
    where r.case_id in (
        select m.case_id
        from credential_change c
        join case_member m on m.person_id = c.person_id and m.until_at is null and m.role in ('responsible', 'specialist')
        where c.id = any(taken)
        union
        select c.case_id
        from credential_change c
        where c.id = any(taken) and c.case_id is not null
        union
        select k.id
        from credential_change c
        join clinical_case k on (c.organization_id is null or k.organization_id = c.organization_id)
            and (c.place is null or c.place in ('*', k.place, split_part(k.place, '-', 1)))
        where c.id = any(taken) and c.person_id is null and c.case_id is null and k.state not in ('closed', 'withdrawn', 'handed_back')
    );
    get diagnostics cases = row_count;
    marked := marked + cases;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function mark_all_reviews(at timestamptz) returns int
    language plpgsql security definer
    set search_path = pg_catalog, public
as $$
declare
    marked int;
    cases int;
begin
    perform pg_advisory_xact_lock(hashtext('mark_reviews'));
    update appointment_review r
    set next_change_at = at
    from appointment a
    where a.organization_id = r.organization_id and a.id = r.appointment_id and a.start_at > at - interval '8 hours'
      and a.state in ('pending', 'booked', 'needs_attention');
    get diagnostics marked = row_count;
    update case_review r
    set next_change_at = at
    from clinical_case k
    where k.organization_id = r.organization_id and k.id = r.case_id and k.state in ('submitted', 'triaged', 'assigned', 'advised', 'returned', 'declined');
    get diagnostics cases = row_count;
    return marked + cases;
end
$$;
-- +goose StatementEnd

-- cases_due tells which cases of which clinics are due, and nothing of them.
-- +goose StatementBegin
create function cases_due(at timestamptz, most int) returns table (organization_id uuid, case_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select r.organization_id, r.case_id
    from case_review r
    where r.next_change_at <= at
    order by r.next_change_at, r.case_id
    limit most
$$;
-- +goose StatementEnd
revoke all on function cases_due(timestamptz, int) from public;
grant execute on function cases_due(timestamptz, int) to consilium_app;
