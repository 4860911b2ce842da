-- Text of a column of users, for changes_since.
CREATE OR REPLACE FUNCTION fact_text(what text, fact text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE what
        WHEN 'Manager' THEN
            coalesce((SELECT full_name(first_name, last_name) FROM users WHERE user_id = fact), fact)
        WHEN 'Other e-mail addresses' THEN
            (SELECT nullif(string_agg(each, ', ' ORDER BY each), '') FROM unnest(fact::text[]) AS each)
        WHEN 'Meeting rooms' THEN
            (SELECT nullif(string_agg(each, ', ' ORDER BY each), '') FROM unnest(fact::text[]) AS each)
        WHEN 'Languages' THEN
            (SELECT string_agg(coalesce(each ->> 'language', each::text)
                               || CASE each ->> 'primary' WHEN 'true' THEN ' (primary)' ELSE '' END,
                               ', ' ORDER BY each)
             FROM jsonb_array_elements(fact::jsonb) AS each)
        ELSE fact END;
END;

COMMENT ON FUNCTION fact_text IS
    'A fact of a user in words: a manager by name, lists in alphabetical order; others as they are';
