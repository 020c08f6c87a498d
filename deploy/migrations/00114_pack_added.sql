-- Editions that the operator added by a command, beside those that two officers
-- brought and published; and, in numbers only, what rests on the rules of each place.

-- +goose Up

-- An edition of the operator counts as far as unconfirmed rules count here: whether a
-- pack is confirmed is for officers to say.
alter table pack_edition add column by_operator boolean not null default false;
alter table pack_edition add constraint pack_edition_operator_unconfirmed
  check (not by_operator or state in ('unverified-starter', 'in-review') and drafted_by is null and published_by is null and published_at is not null);
-- null: the operator, by a command
alter table pack_draft alter column drafted_by drop not null;

create index appointment_to_come on appointment (start_at) include (organization_id, case_id)
  where (state in ('held', 'pending', 'booked', 'needs_attention'));

-- places_relied_on counts the bookings to come and the open cases of all clinics by
-- the place of the patient.
-- +goose StatementBegin
create function places_relied_on(at timestamptz) returns table (place text, bookings bigint, cases bigint)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select x.place, sum(x.bookings)::bigint, sum(x.cases)::bigint
    from (
        select k.place, count(*) as bookings, 0 as cases
        from appointment a
        join clinical_case k on k.organization_id = a.organization_id and k.id = a.case_id
        where a.start_at > at and a.state in ('held', 'pending', 'booked', 'needs_attention')
        group by k.place
        union all
        select k.place, 0, count(*)
        from clinical_case k
        where k.state in ('submitted', 'triaged', 'assigned', 'advised', 'returned', 'declined')
        group by k.place) x
    group by x.place
$$;
-- +goose StatementEnd
revoke all on function places_relied_on(timestamptz) from public;
grant execute on function places_relied_on(timestamptz) to consilium_app;
