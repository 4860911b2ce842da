"""Redacts a service's error texts: only known words stay, any other may be personal data or a secret."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_CHARS = 200
HIDDEN = "…"
_MAX_WORD_CHARS = 60

# A service may quote anything, and no pattern recognizes a name. So only known words are kept: those of usual
# error texts, and the fields of Gong's requests.
_WORDS = """
    a about above access account active after again allowed already also an and any API api app are array
    as at authentication authorization authorized available avatars bad be because been before being below
    between body boolean broken but by call called calls can can't cannot character characters check
    client code company conflict connection contact content corresponding could count create created
    created_from created_to createdFromDateTime createdToDateTime credentials cursor customer daily data
    database date date-time datetime day days denied did didn't disabled do does doesn't down due each
    either empty enabled endpoint error errors exceed exceeded exceeds exist existing exists expected
    expire expired expires extra fail failed failure field fields filter filters first for forbidden
    format found from gateway get given gone grant_type has hasn't have header here hour HTTP I ID id ids
    illegal in includeAvatars incorrect input insufficient integer internal into invalid invalid_client
    invalid_grant invalid_scope is isn't it item items its JSON json key last later least length limit
    limits list long longer maintenance malformed many match maximum may maybe method minimum minute
    missing more most must name never no non none not null number OAuth object occurred of off one only
    oops or other out page parameter parameters parse path per permission permissions permitted please
    point present previous problem process processed property provided query range rate reached read
    refresh refresh_token refused request requested requests require required resource resources response
    retry revoked route same scope scopes second seconds server service settings settings-history short
    should size some something soon state status string such support supported temporarily text than that
    the their there these this time timed timeout to token tokens too try type unable unauthorized
    unavailable under unexpected unknown unsupported unsupported_grant_type until up updated URL url usage
    use used user userId userIds users valid validation value values version void was wasn't we went were
    when whether which while will with without wrong you your
"""
_KNOWN = frozenset(_WORDS.split())
_WORD = re.compile(r"(?P<before>[(\[]*)(?P<word>.*?)(?P<after>[)\].,:;!?]*)", re.DOTALL)
_SENTENCE_END = (".", "!", "?", ":", ";")
_JOINTS = re.compile(r"[.:/]")


def redact(text: str) -> str:
    """Shorten the text, with an ellipsis for each word that is not on the list."""
    words: list[str] = []
    begins = True
    for word in text.split():
        shown_word = _shown(word, begins=begins)
        begins = word.endswith(_SENTENCE_END)
        if shown_word != HIDDEN or words[-1:] != [HIDDEN]:
            words.append(shown_word)
    return " ".join(words)[:MAX_CHARS]


def redact_all(texts: Sequence[str]) -> tuple[str, ...]:
    """Redact each text; drop those of which nothing remains."""
    return tuple(filter(lambda text: text != HIDDEN, map(redact, texts)))


def _shown(word: str, *, begins: bool) -> str:
    match = _WORD.fullmatch(word[:_MAX_WORD_CHARS])
    core = match["word"] if match and len(word) <= _MAX_WORD_CHARS else ""
    parts = [core] if core in _KNOWN else _JOINTS.split(core)
    if begins and parts:
        parts[0] = parts[0] if parts[0] in _KNOWN else parts[0].lower()
    return word if all(part in _KNOWN for part in parts) else HIDDEN
