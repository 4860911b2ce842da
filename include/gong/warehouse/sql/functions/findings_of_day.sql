-- What the full run of a day found: read from what it stored, so fast for everyone.
CREATE OR REPLACE FUNCTION findings_of_day(wanted_day date)
RETURNS TABLE (
    user_id       text,
    kind          text,
    name          text,
    email_address text,
    title         text,
    manager_id    text,
    manager_name  text,
    since         timestamptz,
    why           text,
    changed_by    text,
    first_seen_at timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT period.user_id, period.kind, full_name(person.first_name, person.last_name), person.email_address,
           person.title, person.manager_id, full_name(manager.first_name, manager.last_name), since, why,
           changed_by, opened_at
    FROM (SELECT max(findings_at) AS at FROM sync_runs WHERE day = wanted_day) AS run
    JOIN finding_periods AS period
      ON opened_at <= run.at AND (resolved_at IS NULL OR run.at < resolved_at)
    LEFT JOIN user_versions AS person
           ON person.user_id = period.user_id
          AND person.valid_from <= run.at AND (person.valid_to IS NULL OR run.at < person.valid_to)
    LEFT JOIN user_versions AS manager
           ON manager.user_id = person.manager_id
          AND manager.valid_from <= run.at AND (manager.valid_to IS NULL OR run.at < manager.valid_to);
END;

COMMENT ON FUNCTION findings_of_day IS
    'What the full run of a UTC day found, just after its end; none where there was none, or before the first
user_id: The user
kind: The kind, as in findings
name: First and last name
email_address: E-mail address
title: Job title
manager_id: user_id of the manager
manager_name: The manager''s name; null: none, or no user stored here
since: As in finding_periods
why: As in finding_periods
changed_by: As in finding_periods
first_seen_at: When a full daily run first found it';
