"""What can go wrong with the warehouse, each as one sentence: where, what, and what to do."""

from __future__ import annotations


class WarehouseError(Exception):
    """The warehouse can't do what was asked. Its text is for people and holds no data and no secret."""


class AccountMismatchError(WarehouseError):
    """The warehouse belongs to another Gong account."""
