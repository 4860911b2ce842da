"""The Singer tap: users, and the settings history of each, as the Meltano SDK's guide writes one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from singer_sdk import RESTStream, Stream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BasicAuthenticator
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.pagination import BaseAPIPaginator, JSONPathPaginator


def _utc(written: str) -> str:
    """The target's columns have no time zone, and COPY would drop the one that a time came with."""
    return datetime.fromisoformat(written).astimezone(UTC).isoformat()


class GongStream(RESTStream[str]):
    """What both have in common."""

    @property
    def url_base(self) -> str:
        """Where the API is."""
        return f"{self.config['api_url']}/v2"

    @property
    def authenticator(self) -> BasicAuthenticator:
        """Access key and secret."""
        return BasicAuthenticator(
            username=self.config["access_key"], password=self.config["access_key_secret"]
        )


class UsersStream(GongStream):
    """All users, page by page."""

    name = "users"
    path = "/users"
    primary_keys = ("id",)
    records_jsonpath = "$.users[*]"
    schema = th.PropertiesList(
        th.Property("id", th.StringType, required=True),
        th.Property("emailAddress", th.StringType),
        th.Property("firstName", th.StringType),
        th.Property("lastName", th.StringType),
        th.Property("title", th.StringType),
        th.Property("phoneNumber", th.StringType),
        th.Property("extension", th.StringType),
        th.Property("active", th.BooleanType),
        th.Property("created", th.DateTimeType),
        th.Property("managerId", th.StringType),
        th.Property("emailAliases", th.ArrayType(th.StringType)),
        th.Property("trustedEmailAddress", th.StringType),
        th.Property("personalMeetingUrls", th.ArrayType(th.StringType)),
        th.Property("meetingConsentPageUrl", th.StringType),
        th.Property(
            "spokenLanguages",
            th.ArrayType(
                th.ObjectType(th.Property("language", th.StringType), th.Property("primary", th.BooleanType))
            ),
        ),
        th.Property("settings", th.ObjectType(additional_properties=th.BooleanType)),
    ).to_dict()

    def get_new_paginator(self) -> BaseAPIPaginator[str | None]:
        """The cursor that each page but the last has."""
        return JSONPathPaginator("$.records.cursor")

    def get_url_params(
        self, context: Mapping[str, Any] | None, next_page_token: str | None
    ) -> dict[str, Any]:
        """The cursor, after the first page."""
        return {"cursor": next_page_token} if next_page_token else {}

    def get_child_context(self, record: dict[str, Any], context: Mapping[str, Any] | None) -> dict[str, Any]:
        """Whose history is next."""
        return {"user_id": record["id"]}

    def post_process(self, row: dict[str, Any], context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Its time in UTC."""
        return {**row, "created": _utc(row["created"])}


class SettingsHistoryStream(GongStream):
    """The settings history of one user after the other."""

    name = "settings_history"
    parent_stream_type = UsersStream
    path = "/users/{user_id}/settings-history"
    primary_keys = ("user_id", "time", "setting")
    records_jsonpath = "$.userSettingsHistory[*]"
    state_partitioning_keys = ()  # no bookmark for each user: the state would grow with them
    schema = th.PropertiesList(
        th.Property("user_id", th.StringType, required=True),
        th.Property("time", th.DateTimeType, required=True),
        th.Property("setting", th.StringType, required=True),
        th.Property("value", th.BooleanType),
    ).to_dict()

    def get_new_paginator(self) -> None:
        """A history is one page."""
        return

    def post_process(self, row: dict[str, Any], context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Whose change it is: without a bookmark for each user, the SDK adds no key of the parent."""
        return {"user_id": (context or {})["user_id"], **row, "time": _utc(row["time"])}


class TapGong(Tap):
    """Both streams."""

    name = "tap-gong"
    message_writer_class = MsgSpecWriter
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("access_key", th.StringType, required=True),
        th.Property("access_key_secret", th.StringType, required=True, secret=True),
    ).to_dict()

    def discover_streams(self) -> list[Stream]:
        """Users first: their histories need them."""
        return [UsersStream(self), SettingsHistoryStream(self)]
