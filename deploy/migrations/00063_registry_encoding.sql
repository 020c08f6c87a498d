-- In which encoding a registry file was read, and how many rows of each outcome an
-- applied file had: rows that touch nothing on file are counted, not kept one by one.

-- +goose Up

alter table registry_import add column encoding text not null default 'utf-8'
  constraint registry_import_encoding_known check (encoding in ('utf-8', 'utf-16', 'windows-1252', 'iso-8859-1'));
-- The same bytes read in another encoding say something else.
alter table registry_import drop constraint registry_import_once;
alter table registry_import add constraint registry_import_once unique (source, sha256, encoding);
alter table registry_application add column counts jsonb; -- null: all rows stand in registry_row
