"""Renames tables, columns, functions and stored values to standard terms, and rewords comments and sentences.

What can be renamed in place is: grants, indexes and views that others built stay. A function whose columns
get other names can't be: a new one takes its place, with its owner, grants and comment. A view that someone
built on such a function stops the upgrade: drop it before, and create it again with the new names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from alembic import op

from include.gong.warehouse import ddl

revision = "0019"
down_revision = "0018"

RELATIONS = {
    "forgotten": "erasures",
    "forgotten_addresses": "erased_addresses",
    "leavers": "deletion_candidates",
    "listing_progress": "listing_checkpoints",
    "owed_histories": "history_backlog",
    "recording_coverage_owed": "coverage_invalidations",
    "run_oddities": "run_anomalies",
    "stale": "users_not_seen_recently",
    "user_marks": "user_sync_state",
}
COLUMNS = {
    "derived_setting_periods": {"basis": "provenance"},
    "forgotten": {"forgotten_at": "requested_at"},
    "inactive_but_importing": {"basis": "provenance"},
    "leavers": {"nominated_at": "flagged_at", "confirmed_at": "verified_at"},
    "listing_progress": {"gong_time": "server_time"},
    "listings": {"moved": "changed_during_read"},
    "owed_histories": {"history_due_since": "history_pending_since"},
    "recording_coverage_daily": {"left_gong": "deleted"},
    "setting_periods": {"basis": "provenance"},
    "sync_runs": {
        "calls_left": "calls_remaining",
        "histories_left": "histories_remaining",
        "histories_owed": "histories_pending",
        "left_covered_by": "backlog_eta",
        "outlook": "backlog_status",
        "users_gone": "histories_not_found",
        "users_left": "users_deleted",
        "users_withheld": "deletions_blocked",
    },
    "user_marks": {
        "gone_at": "deleted_at",
        "history_due_since": "history_pending_since",
        "history_gone_at": "history_not_found_at",
    },
    "user_states": {"left_at": "deleted_at"},
}
RENAMED_FUNCTIONS = {"evidence": "setting_audit_trail", "stale_at": "users_not_seen_recently_at"}

# In an order in which each finds those that it calls.
WITH_OTHER_COLUMNS = ("settings_as_of", "effective_settings_as_of", "evidence", "derived_recording_coverage")
OTHERS = ("user_states_as_of", "changes_since", "stale_at")
VIEWS = ("stale", "users_with_managers")

WORDS = {
    **RELATIONS,
    **RENAMED_FUNCTIONS,
    **COLUMNS["user_marks"],
    **COLUMNS["user_states"],
    **COLUMNS["setting_periods"],
    **COLUMNS["recording_coverage_daily"],
    "held": "stored",
    "proof": "explanation",
    "told": "reported",
    "told_during": "reported_during",
}
SENTENCES = {
    "'left'": "'deleted'",
    "whom is not told by Gong": "an author not reported by Gong",
    "not told by Gong": "not reported by Gong",
    "no answer held him for 2 days": "not in any response for 2 days",
    "Gong had no history of him when asked": "Gong had no settings history of this user",
    "a setting was seen to change, the history not fetched since": (
        "a setting changed, and the history was not fetched since"
    ),
    "the history''s turn has not come": "the history is waiting in the backlog",
    "Gong did not know him then": "Gong did not know the user then",
    "Neither history nor profile tells": "Neither history nor profile has a value",
}

VALUES = r"""
    ALTER TABLE history_plan DROP CONSTRAINT history_plan_status_check;
    UPDATE history_plan SET status = 'not_found' WHERE status = 'gone';
    ALTER TABLE history_plan ADD CONSTRAINT history_plan_status_check
        CHECK (status IN ('planned', 'fetched', 'failed', 'not_found'));
    UPDATE run_anomalies AS anomaly
    SET kind = renamed.kind
    FROM (VALUES ('forgotten_user', 'erased_user'), ('lifted_tombstone', 'lifted_erasure'),
                 ('older_answer', 'older_response')) AS renamed (old_kind, kind)
    WHERE anomaly.kind = old_kind;
    UPDATE check_results AS result
    SET check_name = renamed.check_name
    FROM (VALUES ('users_held', 'users_stored'), ('changes_held', 'changes_stored'),
                 ('marks_not_ahead', 'sync_state_not_ahead')) AS renamed (old_name, check_name)
    WHERE result.check_name = old_name;
    UPDATE listing_pages
    SET user_ids = ARRAY(
        SELECT regexp_replace(user_id, '^forgotten ([0-9a-f]{64})$', 'erased \1')
        FROM unnest(user_ids) WITH ORDINALITY AS listed (user_id, position) ORDER BY position)
    WHERE EXISTS (SELECT FROM unnest(user_ids) AS user_id WHERE user_id ~ '^forgotten [0-9a-f]{64}$');
"""

# Comments of relations and columns; of functions the first line, and what each column's line says after its
# name. A line with - is replaced by the one with + after it; what is indented more continues a line.
COMMENTS = """
    - A renewal was sent then and its answer has not been stored
    + When a renewal was sent whose response has not been stored
    - A user who had been created and had not left for good
    + A user who had been created and was not deleted
    - Address of the avatar, by the last answer that was asked for avatars
    + Address of the avatar, from the last request that asked for avatars
    - All of it in words; seen: it happened since the answer before
    + All of it in words; seen: it happened since the response before
    - Answers 429 in a row that did not say how long to wait
    + 429s in a row without a Retry-After
    - By when daily runs will have covered them at the latest
    + Day by which daily runs fetch them at the latest
    - By which addresses changes name a forgotten user as their author, as hashes
    + E-mail addresses that name an erased user, as hashes
    - Calls granted, by minute and endpoint; kept. Read it by hour through api_usage
    + Calls granted, by minute and endpoint; kept. By hour: api_usage
    - Calls of the day left when the run ended; null: no limit
    + Calls remaining for the day when the run ended; null: no limit
    - Calls of the day that others made, as seen when Gong said so
    + Calls of the day that other tools made, as computed when Gong said so
    - Changes never held before
    + Changes not stored before
    - Counts pairs of tokens; who saw 401 names the one he used
    + Counts pairs of tokens; a worker that got a 401 names the generation it used
    - Distinct users answered
    + Distinct users returned
    - Each count of users that Gong said
    + Each total of users that Gong returned
    - Each setting of each user at a moment, by the histories
    + Each setting of each user at a moment, from the histories
    - Each setting of each user at a moment: by the history where it tells, else as seen
    + Each setting of each user at a moment: from the history where it has a value, else as seen in the
      profile
    - Each setting of each user over time, by its history; each load brings it up to date
    + Each setting of each user over time, from its history; each load brings it up to date
    - Each user at a moment in the words of the glossary; settings as in effective_settings_as_of, the
      profile as seen: null before our first sight of him
    + Each user at a moment in the terms of the glossary; settings as in effective_settings_as_of, the
      profile as seen: null before first_seen_at
    - Each user today in the words of the glossary, also those who left; null: not known
    + Each user today in the terms of the glossary, deleted users too; null: not known
    - Encrypted; Gong takes it once
    + Encrypted; Gong accepts it once
    - Every answered field that has no column of its own
    + Every returned field that has no column of its own
    - Every change of every setting, kept also when Gong no longer answers it
    + Every change of every setting, kept also when Gong no longer returns it
    - Every user as last answered, also those who left
    + Every user as last returned by Gong, deleted users too
    - Every user as seen at a moment; none from before our first sight of him
    + Every user as seen at a moment; none before first_seen_at
    - Everything that changed since a moment, in order: settings by their histories (or as seen, where these
      do not tell), profiles as seen, who joined, left and came back
    + Everything that changed since a moment, in order: settings from their histories (or as seen, where
      these lack it), profiles as seen, users who joined, were deleted or came back
    - From when on it is renewed: shortly before its end
    + When it is renewed: shortly before it expires
    - Gong answered invalid_grant: nobody asks with this token again
    + When Gong responded with invalid_grant: the token is not sent again
    - Gong's id of the user, exactly as answered
    + Gong's id of the user, exactly as returned
    - Hashes of refresh tokens pasted into the connection, newest last
    + Hashes of refresh tokens configured in the connection, newest last
    - Histories that could not be had
    + Histories that could not be fetched
    - How far a run's listing came: stored with each page, gone when its histories are planned
    + Progress of a run's listing: stored with each page, deleted when its histories are planned
    - How far the histories are, and by when all are here, where a day's calls do not suffice
    + Progress of the histories, and when all will be fetched, where a day's calls do not suffice
    - How it is known, as in setting_periods
    + How the value is known, as in setting_periods
    - How it is known: changed (a change says so), previous (the first change's previous value), inferred
      (the opposite of a switch's first value; the value first seen, if it never changed); null: unknown
    + How the value is known: changed (by a change), previous (the first change's previous value), inferred
      (the opposite of a switch's first value; the value first seen, if it never changed); null: unknown
    - How long ago he was last answered
    + Time since Gong last returned the user
    - How long his history is not known; null: it was never fetched
    + Time since history_covers_until; null: the history was never fetched
    - How many are above him in the chart
    + How many are above the user in the chart
    - How the history knows it, as in setting_periods
    + How the history knows the value, as in setting_periods
    - How the history knows it, as in setting_periods; null where it was seen
    + How the history knows the value, as in setting_periods; null where it was seen
    - Its place among the changes of one setting at one instant, first to last, as answered; null where the
      answer does not tell
    + Its position among the changes of one setting at one instant, first to last; null where the response
      does not show it
    - Its users; of one who was forgotten, what tells him from others only
    + Its users; an erased user as a hash
    - Its value before, as far as these changes tell
    + Its value before, as far as these changes show it
    - Languages spoken, as answered: language and whether primary
    + Languages spoken, as returned: language and whether primary
    - Last answer that showed another setting or active flag; null once a history asked later is here
    + Last response with another setting or active flag; null once a history requested later is stored
    - No call before: Gong answered 429
    + No call before: Gong responded with 429
    - No call before: Gong said that the day's calls are used up
    + No call before: Gong said that the daily quota is used up
    - Of these, still owed when the run ended: the day's calls were used up, or kept for others
    + Of these, not fetched when the run ended: the day's calls were used up, or reserved for others
    - Pages answered
    + Pages returned
    - Place in the run's order, from 0
    + Position in the run's order, from 0
    - Records so far that are no users
    + Records so far that could not be read as users
    - Rotated keys and moved hosts, in sentences
    + Rotated keys and changed hosts, in sentences
    - SHA-256 that identifies the change in every answer
    + SHA-256 that identifies the change in every response
    - Settings, and the active flag among them, in the first answer that held this user
    + Settings, and the active flag among them, in the first response with this user
    - Since when a profile was seen with a setting's value that a version from seen_from on shows
    + Since when the profile was seen with the value of a setting in the version that begins at seen_from
    - Since when he is inactive, by his history; null: not known
    + Since when the user is inactive, from the history; null: not known
    - Start of the first request that answered it
    + Start of the first request that returned it
    - Start of the first request that answered these facts
    + Start of the first request that returned these values
    - Start of the first request that answered this change
    + Start of the first request that returned this change
    - Start of the first request that answered this user
    + Start of the first request that returned this user
    - Start of the last history request that failed, null after one that did not
    + Start of the last history request that failed, null after one that succeeded
    - Start of the last history request to which Gong knew no such user
    + Start of the last history request for which Gong had no such user
    - Start of the last request of a list of all users in which Gong still had him: he was left out
    + Start of the last request of a list of all users in which Gong returned the user, who was not stored
    - Start of the last request of a list of all users that held this user
    + Start of the last request of a list of all users that returned this user
    - Start of the last request that answered him
    + Start of the last request that returned the user
    - Start of the last request that answered his history
    + Start of the last request that returned the history
    - Start of the last request that answered it
    + Start of the last request that returned it
    - Start of the last request that answered the settings history
    + Start of the last request that returned the settings history
    - Start of the last request that answered this user
    + Start of the last request that returned this user
    - Start of the last request that confirmed that Gong has no such user; he is back when seen later
    + Start of the last request that verified that Gong has no such user; the user is back when seen later
    - Start of the listing that lacked him
    + Start of the listing that lacked the user
    - Start of the request that answered others, or knew him no more; null: still so
    + Start of the request that returned others, or verified that the user is deleted; null: current
    - Start of the request that asked for him and found nobody
    + Start of the request that verified that Gong has no such user
    - The forgotten user
    + The erased user
    - The ids from the top down to him
    + The ids from the top down to the user
    - The manager's name; null: none, or no user held here
    + The manager's name; null: none, or no user stored here
    - The newest pair whose access token Gong took
    + The newest pair whose access token Gong accepted
    - The next free place of a call
    + When the next free slot for a call begins
    - The path of users by filter that this account's service has
    + The path of users by filter that works for this account
    - The record as answered
    + The record as returned
    - The same of lists asked for avatars, which hold synthetic users too
    + The same of lists with avatars, which have synthetic users too
    - The setting as answered
    + The setting as returned
    - The setting or the fact; null where somebody joined, left or came back
    + The setting or column; null where a user joined, was deleted or came back
    - The setting's one name, whatever the answer calls it
    + The setting's one name, whatever the response calls it
    - The user whose history holds the change
    + The user whose history has the change
    - The user's settings as answered
    + The user's settings as returned
    - The users of an unfinished listing, page by page; gone when it ends
    + The users of an unfinished listing, page by page; deleted when it ends
    - The value by the history; null: not known
    + The value in the history; null: not known
    - Until when nobody else may
    + Until when no other worker may
    - Until when the history is known: a later change may be missing
    + Until when the history is complete: a later change may be missing
    - Until when; null: the history tells of no change since
    + Until when; null: the history has no change since
    - Users confirmed to have left Gong
    + Users verified and marked as deleted
    - Users confirmed to have left, so many that they are kept until someone accepts it
    + Users verified as deleted, but too many to mark until someone accepts it
    - Users found gone that day (of any setting)
    + Users deleted in Gong that day (of any setting)
    - Users never held before
    + Users not stored before
    - Users of whom something but extra changed
    + Users with a change in a column other than extra
    - Users who must never be held again, by hash; for nobody but the loader
    + Erased users, who must never be stored again, by hash; only for the loader
    - Users whom Gong no longer knew when their history was asked
    + Users for whose history Gong returned not found
    - Users whom a listing of everyone lacked, until they are seen again or confirmed gone
    + Users missing from a listing of everyone, until they are seen again or marked as deleted
    - Users whose history was owed
    + Users whose history was pending
    - What Gong said of each user, from when to when: from our first sight on, never before
    + Versions of each user, from first_seen_at on (SCD type 2: valid_from, valid_to, exclusive)
    - What Gong says about each user; read it through the view users
    + Each user as last returned by Gong; read it through the view users
    - What a run met and could handle, counted by kind
    + Anomalies that a run met and handled, counted by kind
    - What a user's switches come to; null where what is known does not decide it
    + The effect of a user's switches; null where the known ones do not decide it
    - What all calls of a Gong account share: one row, locked for a moment a call
    + Rate limiter of a Gong account: one row, locked for a moment by each call
    - What each instant's changes made of each setting
    + Each setting after the changes of each instant
    - What failed, of a run that failed; the log of the task that it names says why
    + The failure of a failed run, in a sentence; the log of the task that it names has the cause
    - What it should have been: user or settings_change
    + The kind of record that was expected: user or settings_change
    - What it was
    + The kind of anomaly
    - What one user's settings were at a moment, and what proves it; nothing for an id never held
    + One user's settings at a moment, each with its provenance; no rows for an unknown id
    - What someone should look at, in sentences
    + Things to look at, in sentences
    - What the checks after each load found
    + Results of the checks after each load
    - What the hashes of erased users are made with: one row; for nobody but the loader
    + The key of the hashes of erased users: one row; only for the loader
    - When Gong was asked for him and knew him no more; null while he is there
    + Start of the request that verified that Gong has no such user; null while the user is in Gong
    - When each user and his history were seen; kept apart because it changes daily
    + When each user and their history were seen; a table of its own because it changes daily
    - When he was last answered
    + When Gong last returned the user
    - When his history was last fetched
    + When the history was last fetched
    - When it was first asked for: from then on no load keeps him
    + When the erasure was first requested: no load stores the user from then on
    - When the access token ends
    + When the access token expires
    - When, as Gong says; where it does not, the request that first showed it
    + When, as Gong reports it; else the request that first showed it
    - Where the history contradicts itself or the profile
    + Conflicts within a history, or between history and profile
    - Where the next page is; null after the last one
    + Cursor of the next page; null after the last one
    - Where this customer's API is, as Gong answered with the tokens
    + Base URL of this customer's API, as Gong gave it with the tokens
    - Whether he has a consent page: meeting_consent_page_url is not empty
    + Whether the user has a consent page: meeting_consent_page_url is not empty
    - Whether he is there: left_at is null
    + Whether the user is in Gong: deleted_at is null
    - Whether he is, in the end, his own manager; the chart begins with the least id of them
    + Whether the user is in a cycle of managers; the chart begins with the least id of the cycle
    - Whether his manager is inactive; he still stands below him
    + Whether the manager is inactive; the user is still below them
    - Whether his manager left or was never held here; the chart begins with him
    + Whether the manager is deleted or not stored here; the chart begins with the user
    - Whether it began because Gong newly answered a setting, or gave one a value: no fact changed
    + Whether it began because Gong returned a setting, or a value of one, for the first time: nothing else
      changed
    - Whether nothing tells which of several values was the last
    + Whether it is unknown which of several values was the last
    - Whether the value before is the opposite of a switch's, as no change says it
    + Whether the value before is inferred as the opposite of a switch's
    - Which page it was, from 1
    + Number of the page, from 1
    - Who changed it, as answered
    + Who changed it, as returned
    - Who changed it, as answered, or: not told by Gong
    + Who changed it, as returned, or: not reported by Gong
    - Who existed then was listed: its start on Gong's clock less a settling time
    + Users who existed then were listed: its start on Gong's clock less the propagation delay
    - Who in Gong was not answered, or whose history is not known, for 2 days; or whose history could not be
      fetched or is due: by what is held today, as if it were that moment
    + Users in Gong who were not returned, or whose history is not known, for 2 days; or whose history could
      not be fetched or is pending: by the data of today, as if it were that moment
    - Who is active, but in effect not recorded; for each manager: ORDER BY manager_name
    + Users who are active, but in effect not recorded; by manager: ORDER BY manager_name
    - Who is inactive while something of his is still imported
    + Inactive users with imports that are still on
    - Who is recorded today without a consent page
    + Users recorded today without a consent page
    - Who made it, as answered; null: not told by Gong
    + Who made it, as returned; null: not reported by Gong
    - Who renews now
    + The worker that renews now
    - Who reports to whom in Gong today, from the top down: each user once, whatever managers say
    + The org chart of Gong today, from the top down: each user once, whatever managers say
    - Who was recorded at a moment without a consent page, of those seen then: consent pages have no
      history, so nobody before our first sight of him
    + Users recorded at a moment without a consent page, of those seen then: consent pages have no history,
      so nobody before first_seen_at
    - Whose calls: extra account, else the host, with a hash of the key where many share it
    + The account: extra account, else the host, with a hash of the key where customers share it
    - Whose data this is: one row
    + The Gong account of this warehouse: one row
    - Whose histories a run fetches, in batches
    + Users whose histories a run fetches, in batches
    - Whose history a run asks for at this moment: other runs leave them to it for a while
    + Users whose history a run is fetching at this moment: other runs skip them for a while
    - Whose history each run has still to fetch, of all users
    + Users whose history each run has still to fetch
    - Whose tokens: extra account or base URL, and the client
    + The account: extra account or base URL, and a hash of the client id
    - Why it is none
    + Why it was rejected
    - active, inactive, left, or unknown: never held here; null: no manager, or not told
    + active, inactive, deleted, or unknown: not stored here; null: no manager, or not known
    - created; where Gong does not say, our first sight of him
    + created; where Gong does not report it, first_seen_at
    - error: what is held is not what was answered, and the run fails; warning: what was answered is odd, or
      old
    + error: stored data differs from Gong's responses, and the run fails; warning: responses are unusual,
      or old
    - history, or seen: his profile as answered, where the history does not tell
    + history, or seen: the profile as returned, where the history has no value
    - history, or seen: his profile as answered; null where neither tells
    + history, or seen: the profile as returned; null where neither has a value
    - one_instant: several values at one instant and nothing tells the last; profile: the history ends in
      another value than the profile shows, and no change is young enough to explain it
    + one_instant: several values at one instant, and it is unknown which was the last; profile: the history
      ends in another value than the profile shows, and no change is recent enough to explain it
    - planned; fetched; failed; or gone: Gong knew no such user
    + planned, fetched, failed, or not_found: Gong had no such user
    - recording_coverage_daily from a day on, computed from nothing
    + recording_coverage_daily from a day on, computed from scratch
    - run_id of the run that saw the profile first, where the profile tells
    + run_id of the run that first saw the profile, where source is seen
    - setting, moved (another manager or title), profile, joined, left or came back
    + setting, moved (another manager or title), profile, joined, deleted or came back
    - setting_periods, computed from nothing
    + setting_periods, computed from scratch
    - stale_at, now
    + users_not_seen_recently_at, now
    - user_id of the manager, also where the chart begins anew with this user
    + user_id of the manager, also where the chart begins again with this user
    - user_id of the manager, who may be no row here
    + user_id of the manager, who may not be stored here
"""

KEYS_AND_INDEXES = """
    SELECT format('TABLE %%I RENAME CONSTRAINT %%I', relname, conname), relname, conname
    FROM pg_constraint JOIN pg_class AS relation ON relation.oid = conrelid
    WHERE relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT format('INDEX %%I RENAME', of_it.relname), relation.relname, of_it.relname
    FROM pg_index
    JOIN pg_class AS relation ON relation.oid = indrelid
    JOIN pg_class AS of_it ON of_it.oid = indexrelid
    WHERE relation.relnamespace = current_schema()::regnamespace
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
"""

# Statements that give a function the owner, grants and comment of another, whatever the default privileges.
TAKE_OVER = """
    WITH old AS (SELECT * FROM pg_proc WHERE oid = %(old)s::regproc),
         new AS (SELECT * FROM pg_proc WHERE oid = %(new)s::regproc),
         may_now AS (SELECT aclexplode(coalesce(proacl, acldefault('f', proowner))) AS entry FROM new),
         may AS (SELECT aclexplode(coalesce(proacl, acldefault('f', proowner))) AS entry FROM old)
    SELECT statement
    FROM (
        SELECT 1, format('ALTER FUNCTION %%s OWNER TO %%s', %(new)s::regproc, proowner::regrole) FROM old
        UNION ALL
        SELECT 2, format('REVOKE ALL ON FUNCTION %%s FROM %%s', %(new)s::regproc,
                         coalesce(nullif((entry).grantee, 0)::regrole::text, 'PUBLIC'))
        FROM may_now, old WHERE (entry).grantee <> proowner
        UNION ALL
        SELECT 3, format('GRANT EXECUTE ON FUNCTION %%s TO %%s%%s', %(new)s::regproc,
                         coalesce(nullif((entry).grantee, 0)::regrole::text, 'PUBLIC'),
                         CASE WHEN (entry).is_grantable THEN ' WITH GRANT OPTION' END)
        FROM may, old WHERE (entry).grantee <> proowner
        UNION ALL
        SELECT 4, format('COMMENT ON FUNCTION %%s IS %%L', %(new)s::regproc, obj_description(oid, 'pg_proc'))
        FROM old
        UNION ALL
        SELECT 5, format('DROP FUNCTION %%s', %(old)s::regproc)
    ) AS step (turn, statement)
    ORDER BY turn
"""

COMMENTED = """
    SELECT CASE WHEN objsubid > 0 THEN format('COLUMN %%I.%%I', relname, attname)
                WHEN relkind = 'v' THEN format('VIEW %%I', relname)
                ELSE format('TABLE %%I', relname) END,
           description
    FROM pg_description
    JOIN pg_class ON pg_class.oid = objoid AND relkind IN ('r', 'v')
    LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid
    WHERE classoid = 'pg_class'::regclass AND relnamespace = current_schema()::regnamespace
      AND pg_has_role(relowner, 'USAGE')  -- the provider's tables may belong to another login
    UNION ALL
    SELECT format('FUNCTION %%s', objoid::regprocedure), description
    FROM pg_description JOIN pg_proc ON pg_proc.oid = objoid
    WHERE classoid = 'pg_proc'::regclass AND pronamespace = current_schema()::regnamespace
"""


def upgrade() -> None:
    functions = [
        _only("SELECT pg_get_functiondef(%(of)s::regproc)", of=name)
        for name in (*WITH_OTHER_COLUMNS, *OTHERS)
    ]
    views = {name: _only("SELECT pg_get_viewdef(%(of)s::regclass)", of=name) for name in VIEWS}
    for name in WITH_OTHER_COLUMNS:
        ddl.run(f"ALTER FUNCTION {name} RENAME TO {name}_0018")
    ddl.run("ALTER FUNCTION stale_at RENAME TO users_not_seen_recently_at")
    _rename_relations()
    for definition in functions:
        _run(_reworded(re.sub(r"(?<= FUNCTION )\S+?\.", "", definition, count=1)))  # not the schema's name
    for name, query in views.items():
        _run(f"CREATE OR REPLACE VIEW {RELATIONS.get(name, name)} AS {_reworded(query)}")
    for name in reversed(WITH_OTHER_COLUMNS):
        names = {"old": f"{name}_0018", "new": RENAMED_FUNCTIONS.get(name, name)}
        for (statement,) in _rows(TAKE_OVER, names):
            _run(statement)
    ddl.run(VALUES)
    _reword_comments()


def _run(statement: str) -> None:
    ddl.run(statement.replace("%", "%%"))  # the driver looks for parameters


def _rows(query: str, values: Mapping[str, Any] | None = None) -> list[Any]:
    return list(op.get_bind().exec_driver_sql(query, values or {}).all())


def _only(query: str, **values: Any) -> str:
    ((only,),) = _rows(query, values)
    return str(only)


def _reworded(sql: str) -> str:
    for old, new in SENTENCES.items():
        sql = sql.replace(old, new)
    return re.sub(r"\w+", lambda word: WORDS.get(word[0], word[0]), sql)


def _rename_relations() -> None:
    """Rename relations with their columns, and the keys and indexes that are named after them."""
    for change, relation, name in _rows(KEYS_AND_INDEXES):
        if name.startswith(f"{relation}_") and (renamed := _renamed(relation, name)) != name:
            ddl.run(f"ALTER {change} TO {renamed}")
    for relation, columns in COLUMNS.items():
        for old, new in columns.items():
            ddl.run(f"ALTER TABLE {relation} RENAME COLUMN {old} TO {new}")
    for old, new in RELATIONS.items():
        ddl.run(f"ALTER TABLE {old} RENAME TO {new}")


def _renamed(relation: str, name: str) -> str:
    rest = name.removeprefix(relation)
    for old, new in COLUMNS.get(relation, {}).items():
        rest = re.sub(rf"^_{old}(?=_)", f"_{new}", rest)
    return RELATIONS.get(relation, relation) + rest


def _reword_comments() -> None:
    pairs = [
        " ".join(each.split()) for each in re.split(r"^    [-+] ", COMMENTS.lstrip("\n"), flags=re.M)[1:]
    ]
    reworded = dict(zip(pairs[::2], pairs[1::2], strict=True))
    for of, comment in _rows(COMMENTED):
        about, *columns = comment.split("\n")
        lines = [reworded.get(about, about)]
        for line in columns:
            name, _, meaning = line.partition(": ")
            lines.append(f"{WORDS.get(name, name)}: {reworded.get(meaning, meaning)}")
        if lines != [about, *columns]:
            words = _only("SELECT quote_literal(%(words)s)", words="\n".join(lines))
            _run(f"COMMENT ON {of} IS {words}")
