-- The log is appended to in one statement: while a command holds the head of the log it
-- waits for nobody's network, and the tree is made where the head is.

-- +goose Up
-- The roots of the complete subtrees of the tree whose root is edge_root, the largest first.
-- Who appended without them left them behind: then they are read from audit_hash.
alter table audit_head add column edge bytea[];
alter table audit_head add column edge_root bytea;

-- audit_append adds leaves to the log and returns the index of the first; until the end of
-- the transaction it is in the setting consilium.leaf too. Leaves, with what may be read of
-- them, are columns of equal length; a null detail is none. Objects name their leaf by its
-- place, from 1. Hashes are those of RFC 6962 in the order of tlog.StoredHashIndex.
-- +goose StatementBegin
create function audit_append(happened timestamptz, leaf bytea[], acts text[], organizations uuid[], salts bytea[], details bytea[],
    object_leaf int[], object_kind text[], object_id text[]) returns bigint
language plpgsql
set search_path = pg_catalog, public
as $$
declare
  n bigint;          -- leaves so far
  first bigint;
  tree bytea[];      -- the edge
  made bytea[];      -- hashes to be stored
  stored bigint;     -- where the first of them stands
  h bytea;
  path bigint;
  root_now bytea;
  edge_of bytea;
begin
  select size, root, edge, edge_root into n, root_now, tree, edge_of from audit_head for update;
  if edge_of is distinct from root_now then
    tree := '{}';
    for level in reverse 62 .. 0 loop
      if (n >> level) & 1 = 1 then
        path := ((n >> level) << level) - 1; -- the last leaf below
        select hash into strict h from audit_hash where stored_index = 2 * path - bit_count(path::bit(64)) + level;
        tree := tree || h;
      end if;
    end loop;
  end if;
  first := n;
  stored := 2 * n - cardinality(tree);
  for i in 1 .. cardinality(leaf) loop
    h := sha256('\x00'::bytea || leaf[i]);
    made := made || h;
    path := n;
    while path & 1 = 1 loop
      h := sha256('\x01'::bytea || tree[cardinality(tree)] || h);
      tree := trim_array(tree, 1);
      made := made || h;
      path := path >> 1;
    end loop;
    tree := tree || h;
    n := n + 1;
  end loop;
  h := tree[cardinality(tree)];
  for i in reverse cardinality(tree) - 1 .. 1 loop
    h := sha256('\x01'::bytea || tree[i] || h);
  end loop;
  insert into audit_leaf (index, data, at, act, organization_id)
  select first + l.nth - 1, l.data, happened, l.act, l.organization_id
  from unnest(leaf, acts, organizations) with ordinality as l(data, act, organization_id, nth);
  insert into audit_detail (leaf_index, organization_id, salt, detail)
  select first + d.nth - 1, d.organization_id, d.salt, d.detail
  from unnest(organizations, salts, details) with ordinality as d(organization_id, salt, detail, nth)
  where d.detail is not null;
  insert into audit_object (kind, id, leaf_index)
  select o.kind, o.id, first + o.nth - 1
  from unnest(object_kind, object_id, object_leaf) as o(kind, id, nth);
  insert into audit_hash (stored_index, hash)
  select stored + m.nth - 1, m.hash
  from unnest(made) with ordinality as m(hash, nth);
  update audit_head set size = n, root = h, edge = tree, edge_root = h;
  perform set_config('consilium.leaf', first::text, true);
  perform pg_notify('audit', n::text);
  return first;
end
$$;
-- +goose StatementEnd
