-- Which clinics have bookings or cases that are refused now: the officers' queue asks
-- these alone what would help, instead of every booking of every clinic.

-- +goose Up

create index appointment_set_aside on appointment (organization_id, start_at) where (state = 'needs_attention');
create index case_review_held on case_review (organization_id) where (held <> '[]');

-- clinics_waiting names clinics and tells nothing of them.
-- +goose StatementBegin
create function clinics_waiting(at timestamptz) returns table (organization_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select a.organization_id from appointment a where a.state = 'needs_attention' and a.start_at > at
    union
    select r.organization_id from appointment_review r where r.next_change_at <= at
    union
    select r.organization_id from case_review r where r.held <> '[]'
    union
    select r.organization_id from case_review r where r.next_change_at <= at
$$;
-- +goose StatementEnd
revoke all on function clinics_waiting(timestamptz) from public;
grant execute on function clinics_waiting(timestamptz) to consilium_app;
