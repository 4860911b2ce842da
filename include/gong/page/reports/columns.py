"""Columns that many tables share: user and manager."""

from __future__ import annotations

from include.gong.page.table import Column

USER = Column("name", "User", "user")
EMAIL = Column("email_address", "E-mail")
TITLE = Column("title", "Title")
MANAGER = Column("manager_name", "Manager", "user", id_key="manager_id")
WHO = (USER, EMAIL, TITLE)
