-- The tables that all workers of an account share. Whatever exists stays as it is; a column added here is
-- added to existing tables, so it needs a default, or null. Each column has a comment: by these
-- schema.py knows which exist.

CREATE TABLE IF NOT EXISTS api_quota (account text PRIMARY KEY) WITH (fillfactor = 50);
ALTER TABLE api_quota
    ADD COLUMN IF NOT EXISTS next_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN IF NOT EXISTS paused_until timestamptz,
    ADD COLUMN IF NOT EXISTS refusals integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS exhausted_until timestamptz,
    ADD COLUMN IF NOT EXISTS others_calls integer,
    ADD COLUMN IF NOT EXISTS others_seen_at timestamptz,
    ADD COLUMN IF NOT EXISTS filter_path text;
COMMENT ON TABLE api_quota IS 'Rate limiter of a Gong account: one row, locked for a moment by each call';
COMMENT ON COLUMN api_quota.account IS
    'The account: extra account, else the host, with a hash of the key where customers share it';
COMMENT ON COLUMN api_quota.next_at IS 'When the next free slot for a call begins';
COMMENT ON COLUMN api_quota.paused_until IS 'No call before: Gong responded with 429';
COMMENT ON COLUMN api_quota.refusals IS '429s in a row without a Retry-After';
COMMENT ON COLUMN api_quota.exhausted_until IS 'No call before: Gong said that the daily quota is used up';
COMMENT ON COLUMN api_quota.others_calls IS
    'Calls of the day that other tools made, as computed when Gong said so';
COMMENT ON COLUMN api_quota.others_seen_at IS 'When that was';
COMMENT ON COLUMN api_quota.filter_path IS 'The path of users by filter that works for this account';

CREATE TABLE IF NOT EXISTS api_calls (
    account text NOT NULL,
    minute timestamptz NOT NULL,
    endpoint text NOT NULL,
    calls integer NOT NULL,
    PRIMARY KEY (account, minute, endpoint)
) WITH (fillfactor = 70);
COMMENT ON TABLE api_calls IS 'Calls granted, by minute and endpoint; kept. By hour: api_usage';
COMMENT ON COLUMN api_calls.account IS
    'The account: extra account, else the host, with a hash of the key where customers share it';
COMMENT ON COLUMN api_calls.minute IS 'The minute';
COMMENT ON COLUMN api_calls.endpoint IS 'The kind of call, such as list_users or settings_history';
COMMENT ON COLUMN api_calls.calls IS 'Calls granted, retries included';

CREATE OR REPLACE VIEW api_usage AS
SELECT account, date_trunc('hour', minute, 'UTC') AS hour, endpoint, sum(calls)::bigint AS calls
FROM api_calls
GROUP BY 1, 2, 3;
COMMENT ON VIEW api_usage IS 'Calls granted, by hour and endpoint; kept as history';
COMMENT ON COLUMN api_usage.account IS
    'The account: extra account, else the host, with a hash of the key where customers share it';
COMMENT ON COLUMN api_usage.hour IS 'The hour';
COMMENT ON COLUMN api_usage.endpoint IS 'The kind of call, such as list_users or settings_history';
COMMENT ON COLUMN api_usage.calls IS 'Calls granted, retries included';

CREATE TABLE IF NOT EXISTS oauth_tokens (account text PRIMARY KEY);
ALTER TABLE oauth_tokens
    ADD COLUMN IF NOT EXISTS generation integer NOT NULL,
    ADD COLUMN IF NOT EXISTS access_token text,
    ADD COLUMN IF NOT EXISTS refresh_token text NOT NULL,
    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS renew_at timestamptz,
    ADD COLUMN IF NOT EXISTS base_url text,
    ADD COLUMN IF NOT EXISTS seeds text[] NOT NULL,
    ADD COLUMN IF NOT EXISTS lease_holder text,
    ADD COLUMN IF NOT EXISTS lease_until timestamptz,
    ADD COLUMN IF NOT EXISTS asked_at timestamptz,
    ADD COLUMN IF NOT EXISTS dead_since timestamptz,
    ADD COLUMN IF NOT EXISTS accepted_generation integer NOT NULL DEFAULT -1,
    ADD COLUMN IF NOT EXISTS refused_in_a_row integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS renewed_at timestamptz;
COMMENT ON TABLE oauth_tokens IS
    'An account''s OAuth tokens, encrypted with Airflow''s Fernet key; renewed by one worker at a time';
COMMENT ON COLUMN oauth_tokens.account IS
    'The account: extra account or base URL, and a hash of the client id';
COMMENT ON COLUMN oauth_tokens.generation IS
    'Counts pairs of tokens; a worker that got a 401 names the generation it used';
COMMENT ON COLUMN oauth_tokens.access_token IS 'Encrypted; null until the first renewal';
COMMENT ON COLUMN oauth_tokens.refresh_token IS 'Encrypted; Gong accepts it once';
COMMENT ON COLUMN oauth_tokens.expires_at IS 'When the access token expires';
COMMENT ON COLUMN oauth_tokens.renew_at IS 'When it is renewed: shortly before it expires';
COMMENT ON COLUMN oauth_tokens.base_url IS 'Base URL of this customer''s API, as Gong gave it with the tokens';
COMMENT ON COLUMN oauth_tokens.seeds IS 'Hashes of refresh tokens configured in the connection, newest last';
COMMENT ON COLUMN oauth_tokens.lease_holder IS 'The worker that renews now';
COMMENT ON COLUMN oauth_tokens.lease_until IS 'Until when no other worker may';
COMMENT ON COLUMN oauth_tokens.asked_at IS 'When a renewal was sent whose response has not been stored';
COMMENT ON COLUMN oauth_tokens.dead_since IS
    'When Gong responded with invalid_grant: the token is not sent again';
COMMENT ON COLUMN oauth_tokens.accepted_generation IS 'The newest pair whose access token Gong accepted';
COMMENT ON COLUMN oauth_tokens.refused_in_a_row IS 'Pairs in a row that Gong gave and then refused';
COMMENT ON COLUMN oauth_tokens.renewed_at IS 'When this pair was stored';
