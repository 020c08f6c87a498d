-- +goose Up
-- Days on which somebody is on another clock than usual.
alter table availability add column trips jsonb not null default '[]';
