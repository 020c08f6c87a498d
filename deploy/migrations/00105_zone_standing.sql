-- What a clinic decided in advance about visits that new clock rules move, for those
-- that nobody decides in time; and which of them were alerted of and settled so.

-- +goose Up
create table zone_standing (
    organization_id uuid        not null constraint zone_standing_pkey primary key
                                constraint zone_standing_organization_fkey references organization (id),
    decision        text        not null constraint zone_standing_decision_known check (decision in ('keep_wall', 'keep_instant', 'none')),
    version         int         not null constraint zone_standing_version_range check (version > 0),
    changed_by      uuid        not null constraint zone_standing_changed_by_fkey references person (id),
    changed_at      timestamptz not null
);
alter table zone_standing enable row level security;
alter table zone_standing force row level security;
create policy zone_standing_tenant on zone_standing to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid)
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy zone_standing_look on zone_standing for select to consilium_owner using (true);

alter table zone_update_item
    add column alerted_at timestamptz,
    add column standing   bool not null default false;

-- zone_due tells which listed visits of which clinics begin before a moment and were not
-- alerted of, or can be settled by what their clinic decided in advance.
-- +goose StatementBegin
create function zone_due(soon timestamptz, most int) returns table (organization_id uuid, item_id uuid)
    language sql stable strict security definer
    set search_path = pg_catalog, public
as $$
    select i.organization_id, i.id
    from zone_update_item i
    join appointment a on a.organization_id = i.organization_id and a.id = i.appointment_id
    left join zone_standing s on s.organization_id = i.organization_id
    where i.state in ('pending', 'conflict') and least(i.old_start, i.new_start) <= soon
      and a.start_at = i.old_start and a.state in ('pending', 'booked', 'needs_attention')
      and (i.alerted_at is null or coalesce(s.decision, 'none') <> 'none')
    order by i.alerted_at nulls first, i.old_start, i.id
    limit most
$$;
-- +goose StatementEnd
revoke all on function zone_due(timestamptz, int) from public;
grant execute on function zone_due(timestamptz, int) to consilium_app;
