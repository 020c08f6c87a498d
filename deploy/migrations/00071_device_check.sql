-- What the check of devices and network found at the door stays with the booking.

-- +goose Up
alter table session_participant add column check_audio boolean;
alter table session_participant add column check_video boolean;
alter table session_participant add column check_network text
  constraint session_participant_check_network check (check_network in ('good', 'fair', 'poor'));
