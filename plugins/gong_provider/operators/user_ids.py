"""Reads an operator's user ids, given as they are or rendered by a template."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from airflow.sdk import XComArg

from gong_provider.client.endpoints import check_user_id
from gong_provider.client.errors import GongConfigError

UserIds: TypeAlias = Sequence[str | int] | Set[str | int] | str | int | XComArg
"""An id, several ids, their text, as Jinja renders it, or another task's output."""


class NoFilter(Enum):
    """The type of ``NO_FILTER``. An enum, so that its member is the same object when a DAG is copied."""

    NO_FILTER = "no filter"

    def __str__(self) -> str:
        return self.value


NO_FILTER: Final = NoFilter.NO_FILTER
"""Default of an omitted filter. A template that may have no value renders to it."""

NoFilterType: TypeAlias = Literal[NoFilter.NO_FILTER]


_PART: Final = re.compile(r"(?=\D*\d)[\w-]+", re.ASCII)
"""An id among ids that are only separated, as in "1, 2": anything else may be a sentence."""
_SEPARATOR: Final = re.compile(r"\s*,\s*|\s+")
_MAYBE_SEVERAL: Final = re.compile(r"[,;\s]")
"""Text with one of these inside may be several ids."""
_REPR: Final = re.compile(r"<.*>|[\w.]+\(.*\)", re.DOTALL)
"""Text of a Python object: "<generator object ...>", "dict_keys(['1'])"."""
_JOINED_STRINGS: Final = re.compile(r"""['"]\s*['"]""")
"""Two strings without a comma, as in the text of a NumPy array: Python would join two ids to a third."""


def read_user_ids(value: Any, name: str, *, exact: bool = False) -> list[str]:
    """Return the ids, each once, in their order; none for an empty value.

    Accepts an id (text, or an int, as Jinja renders digits), a list of ids, and text that Jinja renders:
    the JSON or Python text of an id or a list, or ids separated by commas, blanks or line breaks. Separated
    ids have letters, digits, "_" and "-" only, and a digit each. Any other id with a comma, a
    semicolon or a blank inside needs a list around it.

    :param name: of the argument, for the error.
    :param exact: the value is not from a template: ids are taken as they are.
    :raises GongConfigError: it is anything else; a template renders an empty XCom to None or "None".
    """
    if isinstance(value, str):
        if not value.strip():
            return []
        parsed = _parse_literal(value)
        if not exact and (parts := _separated(value)):
            value = parts
        elif isinstance(parsed, list | tuple):
            value = parsed
        elif not exact and isinstance(parsed, str) and _MAYBE_SEVERAL.search(parsed.strip()):
            raise GongConfigError(
                f"{name} is text with a comma, a semicolon or a blank that can't be read as ids: give a list"
            )
        else:
            value = [value]
    elif isinstance(value, int):
        value = [value]
    elif isinstance(value, Iterator):
        value = list(value)
    if isinstance(value, bytes | bytearray | memoryview) or not isinstance(value, Sequence | Set):
        raise _invalid(value, name)
    return list(dict.fromkeys(read_user_id(each, name, exact=exact) for each in value))


def read_user_id(value: Any, name: str, *, exact: bool = False) -> str:
    """Return one id; see ``read_user_ids``.

    Unless ``exact``, white space around the id is removed, and text is refused that reads as something
    other than an id, such as the text of None or of a Python object. A callable can return any id.
    """
    if isinstance(value, str) and not exact:
        value = value.strip()
        parsed = _parse_literal(value)
        if isinstance(parsed, str) and parsed != value:  # the JSON text of an id
            return read_user_id(parsed, name)
        if _separated(value.replace(";", ",")):
            raise GongConfigError(f"{name} has several ids where one is expected")
        if not isinstance(parsed, int):
            _refuse_text_of_object(value, name)
    else:
        parsed = value
    if isinstance(parsed, bool) or not isinstance(parsed, str | int):
        raise _invalid(parsed, name)
    return check_user_id(str(value))


def _separated(text: str) -> list[str]:
    """Return the ids of text such as "1, 2"; none if it is not several ids."""
    parts = _SEPARATOR.split(text.strip().removesuffix(","))
    is_list = "," in text or len(parts) > 1
    return parts if is_list and all(map(_PART.fullmatch, parts)) else []


def _refuse_text_of_object(text: str, name: str) -> None:
    if text[:1] in ("[", "(", "{", '"', "'"):
        raise GongConfigError(f"{name} is text that begins as a list or a quotation but can't be read as one")
    if _REPR.fullmatch(text):
        raise GongConfigError(
            f"{name} is the text of a Python object, not of ids: its template needs a filter such as "
            "`| list`, or `| join(',')`"
        )


def _parse_literal(text: str) -> Any:
    """Return the value of JSON or Python text; else the text."""
    text = text.strip()
    for read in (json.loads, ast.literal_eval):
        if read is ast.literal_eval and _JOINED_STRINGS.search(text):
            break
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return read(text)
    return text


def _invalid(value: Any, name: str) -> GongConfigError:
    if value is None:
        return GongConfigError(
            f"{name} is None: it was omitted, or its template found no value, as in an empty XCom. "
            "Give user ids, or an empty list for no users"
        )
    return GongConfigError(
        f"{name} must be Gong user ids: text or an int each, or the text of these; not {type(value).__name__}"
    )
