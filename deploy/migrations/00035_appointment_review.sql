-- When each appointment is looked at again, and what stands against it. The row
-- comes with the appointment and is due at once: a change that was recorded while
-- the booking was under way is found then.

-- +goose Up
create table appointment_review (
    appointment_id  uuid        not null constraint appointment_review_pkey primary key,
    organization_id uuid        not null,
    next_change_at  timestamptz, -- null: nothing that the clock alone changes before its end
    reviewed_at     timestamptz,
    held            jsonb       not null default '[]', -- by seat: why it stands against the appointment
    constraint appointment_review_appointment_fkey foreign key (organization_id, appointment_id) references appointment (organization_id, id)
);
create index appointment_review_due on appointment_review (next_change_at) where (next_change_at is not null);

-- +goose StatementBegin
create function appointment_reviewed() returns trigger
language plpgsql
set search_path = pg_catalog, public
as $$
begin
  insert into appointment_review (appointment_id, organization_id, next_change_at)
  values (new.id, new.organization_id, new.created_at);
  return new;
end
$$;
-- +goose StatementEnd
create trigger appointment_reviewed after insert on appointment
  for each row execute function appointment_reviewed();

create policy appointment_look_again on appointment for select to consilium_owner using (true);
create policy clinical_case_look_again on clinical_case for select to consilium_owner using (true);

insert into appointment_review (appointment_id, organization_id, next_change_at)
select id, organization_id, created_at
from appointment
where state in ('pending', 'booked', 'needs_attention');

alter table appointment_review enable row level security;
alter table appointment_review force row level security;
create policy appointment_review_tenant on appointment_review to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy appointment_review_look on appointment_review for select to consilium_owner using (true);
create policy appointment_review_mark on appointment_review for update to consilium_owner using (true)
    with check (organization_id is not null);

-- mark_reviews makes due what recorded changes concern, in all clinics: whoever
-- calls it learns how many, not which. One runs at a time, so that two never wait
-- for each other's rows.
-- +goose StatementBegin
create function mark_reviews(at timestamptz, most int, out changes int, out marked int)
    language plpgsql security definer
    set search_path = pg_catalog, public
as $$
declare
    taken uuid[];
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
end
$$;
-- +goose StatementEnd

-- mark_all_reviews makes every appointment due that is not over: the nightly sweep.
-- +goose StatementBegin
create function mark_all_reviews(at timestamptz) returns int
    language plpgsql security definer
    set search_path = pg_catalog, public
as $$
declare
    marked int;
begin
    perform pg_advisory_xact_lock(hashtext('mark_reviews'));
    update appointment_review r
    set next_change_at = at
    from appointment a
    where a.organization_id = r.organization_id and a.id = r.appointment_id and a.start_at > at - interval '8 hours'
      and a.state in ('pending', 'booked', 'needs_attention');
    get diagnostics marked = row_count;
    return marked;
end
$$;
-- +goose StatementEnd

-- reviews_due tells which appointments of which clinics are due, and nothing of them.
-- +goose StatementBegin
create function reviews_due(at timestamptz, most int) returns table (organization_id uuid, appointment_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select r.organization_id, r.appointment_id
    from appointment_review r
    where r.next_change_at <= at
    order by r.next_change_at, r.appointment_id
    limit most
$$;
-- +goose StatementEnd
revoke all on function mark_reviews(timestamptz, int), mark_all_reviews(timestamptz), reviews_due(timestamptz, int) from public;
grant execute on function mark_reviews(timestamptz, int), mark_all_reviews(timestamptz), reviews_due(timestamptz, int) to consilium_app;
