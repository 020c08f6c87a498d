package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// platformWide are the tables whose organization_id says for whom, not whose: people,
// their roles and what is on file about them are known on the whole platform;
// leaves and determinations hold ids and codes only.
var platformWide = []string{"audit_leaf", "role_grant", "login", "facility_license", "determination", "credential_change"}

// asOwner are the functions that look past the policies, each answering a question
// that tells nothing of whose the rows are or, for the job that looks at bookings
// again, of what they are.
var asOwner = []string{"busy", "mark_reviews", "mark_all_reviews", "reviews_due", "cases_due", "reminders_due", "reminders_missing", "zone_stale", "zone_overtaken", "fair_hours",
	"lapse_holds", "presence_windows", "presences_untold", "taken", "taken_locked", "waiting_due", "interpreter_load", "interpreters_due",
	"reply_clinic", "replies_due", "zone_due", "places_relied_on", "places_refused", "clinics_waiting", "windows_unfilled", "presences_open"}

// CheckPolicies says what is wrong with the second lock of the database as the
// application sees it, nil when nothing is: a role that skips row policies, a table
// with a tenant's data without forced policies, a view that reads as its owner. The
// binary refuses to start otherwise.
func (db *DB) CheckPolicies(ctx context.Context) error {
	var wrong []string
	err := db.Read(ctx, Scope{}, func(tx *Tx) error {
		var err error
		wrong, err = policyFaults(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("check row policies: %w", err)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("row policies: %s", strings.Join(wrong, "; "))
	}
	return nil
}

func policyFaults(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, _ := tx.Query(ctx, `
		select 'the role ' || rolname || ' skips row policies'
		from pg_roles
		where (rolsuper or rolbypassrls) and pg_has_role(current_user, oid, 'member')
		union all
		select 'the role owns the table ' || c.relname
		from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
		  and pg_has_role(current_user, c.relowner, 'member')
		union all
		select 'the view ' || c.relname || ' reads as its owner'
		from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind = 'v'
		  and not coalesce(c.reloptions @> '{security_invoker=true}', false)
		union all
		select 'the materialized view ' || c.relname || ' has no policies'
		from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind = 'm'
		union all
		select 'the function ' || p.proname || ' runs as its owner'
		from pg_proc p
		left join pg_depend e on e.objid = p.oid and e.deptype = 'e'
		where p.pronamespace = 'public'::regnamespace and p.prosecdef and e.objid is null and not p.proname = any ($1)
		order by 1`, asOwner)
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	rows, _ = tx.Query(ctx, `
		select c.relname,
		       c.relrowsecurity and c.relforcerowsecurity,
		       exists (select from pg_policy p where p.polrelid = c.oid),
		       exists (select from pg_policy p where p.polrelid = c.oid and p.polcmd in ('*', 'a', 'w')
		                 and coalesce(pg_get_expr(p.polwithcheck, p.polrelid), pg_get_expr(p.polqual, p.polrelid), 'true') = 'true')
		from pg_class c
		join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id' and not a.attisdropped
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
		order by 1`)
	var table string
	var forced, some, open bool
	_, err = pgx.ForEachRow(rows, []any{&table, &forced, &some, &open}, func() error {
		switch {
		case slices.Contains(platformWide, table):
		case !forced:
			wrong = append(wrong, "not forced on "+table)
		case !some:
			wrong = append(wrong, "none on "+table)
		case open:
			wrong = append(wrong, table+" takes any row")
		}
		return nil
	})
	return wrong, err
}
