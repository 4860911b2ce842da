"""Errors of the warehouse, each with one sentence: where, what, and what to do."""

from __future__ import annotations


class WarehouseError(Exception):
    """An operation on the warehouse failed. The text is for people and has no data and no secret.

    :ivar is_transient: whether a retry may succeed.
    """

    def __init__(self, sentence: str, *, is_transient: bool = False) -> None:
        super().__init__(sentence)
        self.is_transient = is_transient


class AccountMismatchError(WarehouseError):
    """The warehouse belongs to another Gong account."""
