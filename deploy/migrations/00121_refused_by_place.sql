-- Where something is refused now: the officers' queue says how much waits for the
-- confirmation of a pack without reading a case.

-- +goose Up

-- places_refused counts the bookings to come and the open cases of all clinics that are
-- refused, or due to be looked at again, by the place of the patient and the instant
-- that is asked about. It names no clinic and no case.
-- +goose StatementBegin
create function places_refused(now_is timestamptz) returns table (place text, at timestamptz, n bigint)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select k.place, a.start_at, count(*)
    from appointment a
    join clinical_case k on k.organization_id = a.organization_id and k.id = a.case_id
    where a.start_at > now_is and (a.state = 'needs_attention'
        or a.state in ('pending', 'booked') and a.id in (select r.appointment_id from appointment_review r where r.next_change_at <= now_is))
    group by k.place, a.start_at
    union all
    select k.place, now_is, count(*)
    from case_review r
    join clinical_case k on k.organization_id = r.organization_id and k.id = r.case_id
    where (r.held <> '[]' or r.next_change_at <= now_is)
        and k.state in ('submitted', 'triaged', 'assigned', 'advised', 'returned', 'declined')
    group by k.place
$$;
-- +goose StatementEnd
revoke all on function places_refused(timestamptz) from public;
grant execute on function places_refused(timestamptz) to consilium_app;
