"""The user ids that an operator is given, as they are or as a template rendered them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from gong_provider.client.endpoints import check_user_id
from gong_provider.client.errors import GongConfigError

UserIds: TypeAlias = Sequence[str | int] | Set[str | int] | str | int
"""An id, several, or what Jinja makes of several: the text of a list."""


class NoFilter(Enum):
    """The type of ``NO_FILTER``. An enum, for its member stays one and the same when a DAG is copied."""

    NO_FILTER = "no filter"

    def __str__(self) -> str:
        return self.value


NO_FILTER: Final = NoFilter.NO_FILTER
"""What an argument is that was left out. A template that may have no value says so with it."""

NoFilterType: TypeAlias = Literal[NoFilter.NO_FILTER]


def read_user_ids(value: Any, name: str, *, exact: bool = False) -> list[str]:
    """The ids, each once, in their order; none where the value is empty: that means nobody.

    Takes an id (text, or the int that Jinja makes of digits), a list of ids, and the JSON or Python text of
    such a list, which is what Jinja makes of one.

    :param name: of the argument, for the error.
    :param exact: the value is no template's: each id means what it is.
    :raises GongConfigError: it is anything else; None and "None" are what a template makes of an empty XCom.
    """
    if isinstance(value, str):
        if not value.strip():
            return []
        meant = _meant(value)
        value = meant if isinstance(meant, list | tuple) else [value]
    elif isinstance(value, int):
        value = [value]
    elif isinstance(value, Iterator):
        value = list(value)
    if isinstance(value, bytes | bytearray | memoryview) or not isinstance(value, Sequence | Set):
        raise _refusal(value, name)
    return list(dict.fromkeys(read_user_id(each, name, exact=exact) for each in value))


def read_user_id(value: Any, name: str, *, exact: bool = False) -> str:
    """One id; see ``read_user_ids``."""
    # The text of None, of a list within a list, and so on, is a template's mistake.
    meant = _meant(value) if isinstance(value, str) and not exact else value
    if isinstance(meant, bool) or not isinstance(meant, str | int):
        raise _refusal(meant, name)
    if isinstance(meant, str) and not exact and meant.lstrip()[:1] in ("[", "(", "{"):
        raise GongConfigError(f"{name} is text that begins as a list but can't be read as one")
    return check_user_id(str(value))


def _meant(text: str) -> Any:
    """The value of which this is the JSON or Python text; else the text."""
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return read(text.strip())
    return text


def _refusal(value: Any, name: str) -> GongConfigError:
    if value is None:
        return GongConfigError(
            f"{name} is None: it was left out, or its template found no value, as in an empty XCom. "
            "Give user ids, or an empty list for nobody"
        )
    return GongConfigError(
        f"{name} must be Gong user ids: text or an int each, or the text of a list of these; "
        f"not {type(value).__name__}"
    )
