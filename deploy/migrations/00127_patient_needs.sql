-- What a patient asked for their visits: who may interpret, which times are kept free, what
-- else to know. Each statement stands for ever; the latest one holds.

-- +goose Up
create table patient_needs (
    id              uuid        not null constraint patient_needs_pkey primary key,
    organization_id uuid        not null,
    case_id         uuid        not null, -- for which it was stated
    person_id       uuid        constraint patient_needs_person_fkey references person (id), -- the patient, if on file: it holds for all their cases of the clinic
    follows         uuid        constraint patient_needs_follows_fkey references patient_needs (id)
                                constraint patient_needs_follows_once unique, -- the one it replaces
    stated          jsonb       not null,
    stated_by       uuid        not null constraint patient_needs_stated_by_fkey references person (id),
    by_patient      boolean     not null,
    stated_at       timestamptz not null,
    constraint patient_needs_case_fkey foreign key (organization_id, case_id) references clinical_case (organization_id, id)
);
create unique index patient_needs_first_once on patient_needs (organization_id, coalesce(person_id, case_id)) where (follows is null);
create index patient_needs_case on patient_needs (organization_id, case_id, stated_at);
create index patient_needs_person on patient_needs (organization_id, person_id, stated_at);
alter table patient_needs enable row level security;
alter table patient_needs force row level security;
-- No policy lets anybody change or delete what was stated.
create policy patient_needs_read on patient_needs for select to consilium_app
    using (organization_id = (select current_setting('consilium.organization'))::uuid);
create policy patient_needs_insert on patient_needs for insert to consilium_app
    with check (organization_id = (select current_setting('consilium.organization'))::uuid);

-- What a person states of themselves, because patients may ask for it.
alter table person add column gender text not null default '' constraint person_gender_known check (gender in ('', 'female', 'male', 'other'));
