"""What can go wrong with the warehouse, each as one sentence: where, what, and what to do."""

from __future__ import annotations


class WarehouseError(Exception):
    """The warehouse can't do what was asked. Its text is for people and holds no data and no secret.

    :ivar may_pass: the same may succeed a moment later.
    """

    def __init__(self, sentence: str, *, may_pass: bool = False) -> None:
        super().__init__(sentence)
        self.may_pass = may_pass


class AccountMismatchError(WarehouseError):
    """The warehouse belongs to another Gong account."""
