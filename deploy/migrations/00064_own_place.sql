-- The place that a statement about the specialist's own place is about: that its
-- regulator allows practising from there for patients elsewhere.

-- +goose Up

alter table attestation add column place text
  constraint attestation_place_code check (place is null or place ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$' and kind = 'own-place');
