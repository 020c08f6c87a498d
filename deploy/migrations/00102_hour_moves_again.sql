-- +goose Up
-- When people are told once more that the hour of a window moves; null: not, or done.
alter table presence_window add column remind_at timestamptz;
create index presence_window_remind on presence_window (remind_at) where (remind_at is not null and state <> 'canceled');

-- presences_untold tells which presences of which clinics have windows until then of
-- which it was not looked at whether the hour moves, or of which people are due to be
-- told once more.
-- +goose StatementBegin
create or replace function presences_untold(at timestamptz, until timestamptz) returns table (organization_id uuid, presence_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select w.organization_id, w.presence_id
    from presence_window w
    where w.told_at is null and w.state <> 'canceled' and lower(w.during) > at and lower(w.during) <= until
    union
    select w.organization_id, w.presence_id
    from presence_window w
    where w.remind_at is not null and w.remind_at <= at and w.state <> 'canceled' and lower(w.during) > at
$$;
-- +goose StatementEnd
