"""Reads an operator's user ids, given as they are or rendered by a template."""

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
"""An id, several ids, or the text of a list, as Jinja renders it."""


class NoFilter(Enum):
    """The type of ``NO_FILTER``. An enum, so that its member is the same object when a DAG is copied."""

    NO_FILTER = "no filter"

    def __str__(self) -> str:
        return self.value


NO_FILTER: Final = NoFilter.NO_FILTER
"""Default of an omitted filter. A template that may have no value renders to it."""

NoFilterType: TypeAlias = Literal[NoFilter.NO_FILTER]


def read_user_ids(value: Any, name: str, *, exact: bool = False) -> list[str]:
    """Return the ids, each once, in their order; none for an empty value.

    Accepts an id (text, or an int, as Jinja renders digits), a list of ids, and the JSON or Python text of
    such a list, as Jinja renders it.

    :param name: of the argument, for the error.
    :param exact: the value is not from a template: text is not parsed.
    :raises GongConfigError: it is anything else; a template renders an empty XCom to None or "None".
    """
    if isinstance(value, str):
        if not value.strip():
            return []
        parsed = _parse_literal(value)
        value = parsed if isinstance(parsed, list | tuple) else [value]
    elif isinstance(value, int):
        value = [value]
    elif isinstance(value, Iterator):
        value = list(value)
    if isinstance(value, bytes | bytearray | memoryview) or not isinstance(value, Sequence | Set):
        raise _invalid(value, name)
    return list(dict.fromkeys(read_user_id(each, name, exact=exact) for each in value))


def read_user_id(value: Any, name: str, *, exact: bool = False) -> str:
    """Return one id; see ``read_user_ids``."""
    # The text of None, of a list within a list, and so on, is an error of the template.
    parsed = _parse_literal(value) if isinstance(value, str) and not exact else value
    if isinstance(parsed, bool) or not isinstance(parsed, str | int):
        raise _invalid(parsed, name)
    if isinstance(parsed, str) and not exact and parsed.lstrip()[:1] in ("[", "(", "{"):
        raise GongConfigError(f"{name} is text that begins as a list but can't be read as one")
    return check_user_id(str(value))


def _parse_literal(text: str) -> Any:
    """Return the value of JSON or Python text; else the text."""
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return read(text.strip())
    return text


def _invalid(value: Any, name: str) -> GongConfigError:
    if value is None:
        return GongConfigError(
            f"{name} is None: it was omitted, or its template found no value, as in an empty XCom. "
            "Give user ids, or an empty list for no users"
        )
    return GongConfigError(
        f"{name} must be Gong user ids: text or an int each, or the text of a list of these; "
        f"not {type(value).__name__}"
    )
