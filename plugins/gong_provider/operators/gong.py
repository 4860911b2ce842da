"""Operators for Gong's Users API, one an endpoint; each passes what it fetches to a ``handler``.

A handler is called with each page of users, or each group of settings histories, as it arrives. Its last
result becomes the operator's XCom. Without a handler the XCom has ids and counts, or with ``full`` all data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import msgspec
from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException
from airflow.sdk.observability import stats

from gong_provider import metrics
from gong_provider.client import errors
from gong_provider.client.endpoints import IDS_PER_CALL, UsersFilter, check_instant
from gong_provider.client.models import HistoryFailure, SettingsChange, User
from gong_provider.operators.processed_ids import ProcessedIds
from gong_provider.operators.progress import Progress
from gong_provider.operators.user_ids import NO_FILTER, NoFilterType, UserIds, read_user_id, read_user_ids
from gong_provider.retry import GONG_RETRY_POLICY, OWN_DELAY_RETRY_POLICY

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context, RetryPolicy, XComArg

    from gong_provider.client.models import (
        Claim,
        HistoryOutcome,
        ListingCheckpoint,
        ListingStatus,
        UserResponse,
        UsersPage,
    )
    from gong_provider.hooks.gong import GongHook


class UsersResult(TypedDict):
    """The result of users without a handler.

    :ivar users: how many.
    """

    users: int
    user_ids: list[str]


class HistoriesResult(TypedDict):
    """The result of settings histories without a handler.

    :ivar changes: the number of changes of each user, by id.
    :ivar unknown_ids: users that Gong does not know.
    """

    changes: dict[str, int]
    unknown_ids: list[str]


class GongApiLink(BaseOperatorLink):
    """Links to the page of Gong's app about its API."""

    name = "Gong API"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the address, the same for each account."""
        return "https://app.gong.io/settings/api/documentation"


class _GongOperator(BaseOperator):
    """Base of Gong's operators: the connection, retries and rescheduling.

    Errors that a retry can't fix fail the task at once (``GongRetryPolicy``). For a pause that is too long to
    wait the task is rescheduled, which frees the worker and costs no try. A task without a handler keeps no
    responses between tries, and fails instead of making the same calls again.
    """

    template_fields: Sequence[str] = ("gong_conn_id", "full")
    operator_extra_links: tuple[BaseOperatorLink, ...] = (GongApiLink(),)
    ui_color: str = "#e7defa"

    # Of what the task reads: the name that lineage has for it, and its fields.
    _dataset: tuple[str, Sequence[str]] = ("users", [each.name for each in fields(User)])

    # Named, as Airflow fills only named arguments from default_args. A mapped operator gets omitted ones as
    # Airflow's own defaults: None, and this very timedelta.
    def __init__(
        self,
        *,
        gong_conn_id: str = "gong_default",
        full: bool | str = False,
        retry_policy: RetryPolicy | None = None,
        retry_delay: timedelta | float = BaseOperator.retry_delay,
        retry_exponential_backoff: float = 0,
        **kwargs: Any,
    ) -> None:
        has_own_delay = retry_delay is not BaseOperator.retry_delay or retry_exponential_backoff != 0
        super().__init__(
            retry_policy=retry_policy or (OWN_DELAY_RETRY_POLICY if has_own_delay else GONG_RETRY_POLICY),
            retry_delay=retry_delay,
            retry_exponential_backoff=retry_exponential_backoff,
            **kwargs,
        )
        self.gong_conn_id = gong_conn_id
        self.full = full

    @cached_property
    def hook(self) -> GongHook:
        """The hook of this operator's connection."""
        # Imported late: parsing a DAG must not load an HTTP client.
        from gong_provider.hooks.gong import GongHook

        return GongHook(self.gong_conn_id)

    def get_openlineage_facets_on_complete(
        self,
        task_instance: Any,  # noqa: ARG002
    ) -> OperatorLineage[Any, Any]:
        """Return what the task read, for OpenLineage's provider, which calls this where it is installed."""
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            SchemaDatasetFacet,
            SchemaDatasetFacetFields,
        )
        from airflow.providers.openlineage.extractors import OperatorLineage

        name, columns = self._dataset
        schema = SchemaDatasetFacet(fields=[SchemaDatasetFacetFields(name=each) for each in columns])
        namespace = f"https://{self.hook.settings.host}"
        return OperatorLineage(inputs=[Dataset(namespace=namespace, name=name, facets={"schema": schema})])

    @contextmanager
    def _rescheduled(self) -> Iterator[None]:
        try:
            yield
        except errors.GongRateLimitError as error:
            resumes_at = datetime.now(UTC) + timedelta(seconds=max(1.0, error.retry_after_s or 0.0))
            self.log.warning("%s. The task resumes at %s", error, resumes_at.isoformat(timespec="seconds"))
            raise AirflowRescheduleException(resumes_at) from None  # type: ignore[no-untyped-call]

    @contextmanager
    def _calling(self) -> Iterator[GongHook]:
        """Yield the open hook; report the calls that remain at the end, also where none does."""
        with self._rescheduled(), self.hook as hook:
            try:
                yield hook
            except (errors.GongRateLimitError, AirflowFailException):  # the second, as _not_rescheduled
                self._report_calls_remaining(hook)
                raise
            self._report_calls_remaining(hook)

    def _report_calls_remaining(self, hook: GongHook) -> None:
        if hook.settings.limits.calls_per_day:
            with suppress(errors.GongError):  # only a metric
                hook.calls_remaining()

    def _handle(self, handler: Callable[[Any], Any], items: Any) -> Any:
        began_at = monotonic()
        result = handler(items)
        tags = {"dag_id": self.dag_id, "task_id": self.task_id}
        stats.timing(metrics.GROUP_DURATION, (monotonic() - began_at) * 1000, tags=tags)
        return result

    def _process_pages(
        self, pages: Iterable[UsersPage], handler: Callable[[UsersPage], Any] | None, progress: Progress
    ) -> Any:
        full, result, users = _flag("full", self.full), None, dict[str, Any]()
        try:
            for page in pages:
                if handler:
                    result = self._handle(handler, page)
                else:
                    users.update((user.user_id, asdict(user) if full else None) for user in page.users)
                progress.add(len(page.users), page.calls, of=page.total_records)
        except errors.GongRateLimitError as error:
            if handler or not users:
                raise
            raise _not_rescheduled(error) from error
        if handler:
            return result
        return list(users.values()) if full else UsersResult(users=len(users), user_ids=list(users))


class GongListUsersOperator(_GongOperator):
    """List all users, page by page.

    :param include_avatars: the contract adds ``avatar_url``, the live service adds synthetic
        users that stand for Gong employees. (templated)
    :param handler: called with each ``UsersPage``; its last result is returned. None: a ``UsersResult`` is
        returned.
    :param full: without a handler, return all users instead, as a list of dicts: XCom then holds names and
        addresses. (templated)
    :param load_checkpoint: called when the task begins; returns where an earlier try stopped, or None.
        Without it each try begins at the first page, also after a pause.
    :param gong_conn_id: connection of type ``gong``. (templated)
    """

    template_fields: Sequence[str] = (*_GongOperator.template_fields, "include_avatars")

    def __init__(
        self,
        *,
        include_avatars: bool | str = False,
        handler: Callable[[UsersPage], Any] | None = None,
        load_checkpoint: Callable[[], ListingCheckpoint | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.include_avatars = include_avatars
        self.handler = handler
        self.load_checkpoint = load_checkpoint

    def execute(self, context: Context) -> Any:  # noqa: ARG002
        """List the users."""
        include_avatars = _flag("include_avatars", self.include_avatars)
        with self._rescheduled():
            checkpoint = self.load_checkpoint() if self.load_checkpoint else None
        if checkpoint and checkpoint.cursor is None:
            self.log.info("The listing was already complete, after page %d", checkpoint.pages)
            return None
        if checkpoint:
            self.log.info("The listing resumes after page %d", checkpoint.pages)
        progress = Progress("users", None, self.log.info, done=len(checkpoint.ids) if checkpoint else 0)
        with self._calling() as hook, progress:
            pages = hook.iter_user_pages(include_avatars=include_avatars, start=checkpoint)
            return self._process_pages(pages, self.handler, progress)


class GongListUsersByFilterOperator(_GongOperator):
    """List the users that match a filter, page by page.

    An omitted argument, or ``NO_FILTER``, filters nothing; without any filter all users are listed. A
    template can render to it: ``"{{ params.user_ids or NO_FILTER }}"``, rendered as a native object, with
    ``NO_FILTER`` among the DAG's ``user_defined_macros``. One that renders to None or to "None" is an error.

    :param user_ids: ids as text or int, or their text as a template renders it: of a list, or separated by
        commas or blanks (see ``read_user_ids``). If empty, no call is made. (templated)
    :param user_ids_callable: called when the task begins; returns the ids, if they are known only then, or
        must not appear in the rendered template. If it returns none, no call is made.
    :param created_from: created at or after this instant (ISO 8601 or datetime). (templated)
    :param created_to: created before this instant. (templated)
    :param include_avatars: see ``GongListUsersOperator``. (templated)
    :param handler: see ``GongListUsersOperator``. With more than a hundred ``user_ids``, a retry
        does not fetch ids that were processed (see ``GongGetUserSettingsHistoryOperator``).
    :param full: see ``GongListUsersOperator``. (templated)
    :param on_chunk_done: called with each chunk of at most a hundred ids (without ids, an empty one) after
        ``handler`` got all its pages, and with its ``ListingStatus``: when it began, whether it was complete.
        Gong does not know the ids of the chunk that no page contained. With ``user_ids_callable``, a retry
        begins again: note here which ids are done, and omit them there.
    :param gong_conn_id: connection of type ``gong``. (templated)
    """

    template_fields: Sequence[str] = (
        *_GongOperator.template_fields,
        "user_ids",
        "created_from",
        "created_to",
        "include_avatars",
    )

    def __init__(
        self,
        *,
        user_ids: UserIds | NoFilterType = NO_FILTER,
        user_ids_callable: Callable[[], Iterable[str | int]] | None = None,
        created_from: datetime | str | XComArg | NoFilterType = NO_FILTER,
        created_to: datetime | str | XComArg | NoFilterType = NO_FILTER,
        include_avatars: bool | str = False,
        handler: Callable[[UsersPage], Any] | None = None,
        on_chunk_done: Callable[[list[str], ListingStatus], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.user_ids = user_ids
        self.user_ids_callable = user_ids_callable
        self.created_from = created_from
        self.created_to = created_to
        self.include_avatars = include_avatars
        self.handler = handler
        self.on_chunk_done = on_chunk_done

    def execute(self, context: Context) -> Any:
        """List the users."""
        filters: UsersFilter = {
            "created_from": _bound("created_from", self.created_from),
            "created_to": _bound("created_to", self.created_to),
            "include_avatars": _flag("include_avatars", self.include_avatars),
        }
        with self._rescheduled():
            ids = self._selected_ids()
        processed = None
        # To avoid one call is not worth a call of Airflow's API.
        if self.handler and not self.user_ids_callable and ids and len(ids) > IDS_PER_CALL:
            processed = _processed_ids(context)
            ids = processed.remaining(ids) if processed else ids
        progress = Progress("users", len(ids) if ids else None, self.log.info)
        if ids == []:
            self.log.info("No user ids: no call is made")
            return self._process_pages([], self.handler, progress)
        filters["user_ids"] = ids
        with self._calling() as hook, progress:
            pages = hook.iter_user_pages_by_filter(**filters)
            return self._process_pages(
                self._with_chunks_done(pages, ids or [], processed), self.handler, progress
            )

    def _selected_ids(self) -> list[str] | None:
        """Return the ids, each once; None: the filter is not by ids."""
        if self.user_ids_callable:
            if self.user_ids is not NO_FILTER:
                raise errors.GongConfigError("Give either user_ids or user_ids_callable: not both")
            return read_user_ids(self.user_ids_callable(), "user_ids_callable", exact=True)
        return None if self.user_ids is NO_FILTER else read_user_ids(self.user_ids, "user_ids")

    def _with_chunks_done(
        self, pages: Iterable[UsersPage], ids: list[str], processed: ProcessedIds | None
    ) -> Iterator[UsersPage]:
        """Yield the pages; note a chunk of ids as done after the handler got its last page."""
        start = 0
        for page in pages:
            yield page  # returns after the handler got it
            if page.listing and page.listing.finished:
                chunk = ids[start : start + IDS_PER_CALL]
                if self.on_chunk_done:
                    self.on_chunk_done(chunk, page.listing)
                if processed:
                    processed.add(chunk)
                start += IDS_PER_CALL


class GongGetUserOperator(_GongOperator):
    """Get one user.

    :param user_id: Gong's id, as text or int. (templated)
    :param handler: called with the ``UserResponse``; its result is returned. None: a ``UsersResult`` is
        returned.
    :param full: without a handler, return the user instead, as a dict. (templated)
    :param on_not_found: called with the error when Gong knows no such user; its result is returned. None: the
        error is raised.
    :param gong_conn_id: connection of type ``gong``. (templated)
    """

    template_fields: Sequence[str] = (*_GongOperator.template_fields, "user_id")

    def __init__(
        self,
        *,
        user_id: str | int | XComArg,
        handler: Callable[[UserResponse], Any] | None = None,
        on_not_found: Callable[[errors.GongNotFoundError], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.user_id = user_id
        self.handler = handler
        self.on_not_found = on_not_found

    def execute(self, context: Context) -> Any:  # noqa: ARG002
        """Get the user."""
        user_id, full = read_user_id(self.user_id, "user_id"), _flag("full", self.full)
        with self._calling() as hook:
            try:
                response = hook.get_user(user_id)
            except errors.GongNotFoundError as error:
                if self.on_not_found is None:
                    raise
                return self.on_not_found(error)
        if self.handler:
            return self._handle(self.handler, response)
        return asdict(response.user) if full else UsersResult(users=1, user_ids=[response.user.user_id])


class GongGetUserSettingsHistoryOperator(_GongOperator):
    """Get the settings histories of users, with several calls at once, in groups.

    Give ``user_ids``, or a ``batch`` (such as a mapped task gets) with ``batch_to_ids``. Without ids, as also
    where a template renders to None, the task fails; with an empty list no call is made.

    With a handler, a task that is retried or rescheduled does not fetch users that the handler has processed:
    their ids, and nothing else, are stored in Airflow's task state store, one write a group. A cleared task
    begins again. With ``claim`` nothing is stored, as the claim knows what remains.

    Without a handler no response is stored: a pause of over a minute fails the task, without a retry.

    :param user_ids: as in ``GongListUsersByFilterOperator``. (templated)
    :param batch: identifies the users of this task, small enough for XCom. (templated)
    :param batch_to_ids: converts ``batch`` to user ids, when the task runs.
    :param handler: called with each group, a list of ``SettingsHistory`` and ``HistoryFailure``; its
        last result is returned, None if earlier tries processed all. None: a ``HistoriesResult`` is returned;
        any failure of a user other than that Gong does not know them is raised.
    :param full: without a handler, return the changes instead of their number, as dicts. (templated)
    :param fail_on_unknown: a user that Gong does not know fails the task, at once, with a
        ``GongNotFoundError``, after the handler got the user's group. (templated)
    :param claim: called with the next ids, shortly before their calls, and how many to claim; returns a
        ``ClaimResult``, so that concurrent runs never fetch the same user.
    :param on_quota_exhausted: what to do when no calls remain today. ``wait``: the task is rescheduled until
        some are free; without a handler it fails. ``leave``: it succeeds without the rest. (templated)
    :param group_size: histories after which a group closes, 1 or more; it does at 5,000 changes, too.
    :param group_seconds: seconds after which it closes, more than 0.
    :param gong_conn_id: connection of type ``gong``. (templated)
    """

    template_fields: Sequence[str] = (
        *_GongOperator.template_fields,
        "user_ids",
        "batch",
        "fail_on_unknown",
        "on_quota_exhausted",
    )
    _dataset = ("users/settings-history", SettingsChange.__struct_fields__)

    def __init__(
        self,
        *,
        user_ids: UserIds | None = None,
        batch: Any = None,
        batch_to_ids: Callable[[Any], Iterable[str | int]] | None = None,
        handler: Callable[[list[HistoryOutcome]], Any] | None = None,
        fail_on_unknown: bool | str = False,
        claim: Claim | None = None,
        on_quota_exhausted: Literal["wait", "leave"] | str = "wait",
        group_size: int = 100,
        group_seconds: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.user_ids = user_ids
        self.batch = batch
        self.batch_to_ids = batch_to_ids
        self.handler = handler
        self.fail_on_unknown = fail_on_unknown
        self.claim = claim
        self.on_quota_exhausted = on_quota_exhausted
        self.group_size = group_size
        self.group_seconds = group_seconds

    def execute(self, context: Context) -> Any:
        """Get the histories."""
        full, fail_on_unknown = _flag("full", self.full), _flag("fail_on_unknown", self.fail_on_unknown)
        if self.on_quota_exhausted not in ("wait", "leave"):
            raise errors.GongConfigError("on_quota_exhausted must be 'wait' or 'leave'")
        with self._rescheduled():
            ids = self._selected_ids()
        result: Any = None if self.handler else {"changes": {}, "unknown_ids": []}
        if not ids:
            self.log.info("No user ids: no call is made")
            return result
        handler = self.handler or partial(_collect, result, _changes if full else len)
        processed = _processed_ids(context) if self.handler and not self.claim else None
        remaining = processed.remaining(ids) if processed else ids
        progress = Progress("histories", len(ids), self.log.info, done=len(ids) - len(remaining))
        with self._calling() as hook, progress:
            groups = hook.iter_history_groups(
                remaining, group_size=self.group_size, group_seconds=self.group_seconds, claim=self.claim
            )
            try:
                for group in groups:
                    result = self._handle(handler, group)
                    fetched = sum(hasattr(outcome, "changes") for outcome in group)
                    calls = sum(outcome.calls for outcome in group)
                    progress.add(fetched, calls, failed=len(group) - fetched)
                    if fail_on_unknown:
                        _raise_failure(group, not_found=True)
                    if processed:
                        processed.add(outcome.user_id for outcome in group)
            except errors.GongRateLimitError as error:
                is_exhausted = isinstance(error, errors.GongDailyQuotaExceededError)
                if is_exhausted and self.on_quota_exhausted == "leave":
                    self.log.warning("%s. The remaining histories are left to a later run", error)
                elif self.handler:
                    raise
                else:
                    raise _not_rescheduled(error) from error
        return result

    def _selected_ids(self) -> list[str]:
        if self.batch_to_ids is None:
            return read_user_ids(self.user_ids, "user_ids")
        if self.user_ids is not None:
            raise errors.GongConfigError("Give either user_ids, or a batch with batch_to_ids: not both")
        return read_user_ids(self.batch_to_ids(self.batch), "batch_to_ids", exact=True)


def _collect(
    result: dict[str, Any], summarize: Callable[[list[SettingsChange]], Any], group: list[HistoryOutcome]
) -> dict[str, Any]:
    """Add a group to the result of a task without handler; raise a failure other than not found."""
    _raise_failure(group, not_found=False)
    for outcome in group:
        if isinstance(outcome, HistoryFailure):
            result["unknown_ids"].append(outcome.user_id)
        else:
            result["changes"][outcome.user_id] = summarize(outcome.changes)
    return result


def _changes(changes: list[SettingsChange]) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(change) | {"change_key": change.change_key.hex()} for change in changes]


def _raise_failure(group: list[HistoryOutcome], *, not_found: bool) -> None:
    """Raise the first failure that is, or is not, a user that Gong does not know."""
    for outcome in group:
        if isinstance(outcome, HistoryFailure) and outcome.not_found is not_found:
            raise outcome.error or errors.GongError(outcome.reason)


def _processed_ids(context: Context) -> ProcessedIds | None:
    """Return the ids processed by earlier tries; None outside Airflow, as in a unit test."""
    return ProcessedIds(context) if "task_state_store" in context else None


def _not_rescheduled(error: errors.GongRateLimitError) -> AirflowFailException:
    """Return the error of a task that would lose its responses by a pause; it bypasses retries."""
    return AirflowFailException(
        f"Gong {error.what}. The task can't wait for that: without a handler nothing is kept between tries, "
        "and the next would make all calls again. Give the operator a handler, or fetch fewer users"
    )


def _flag(name: str, value: bool | str) -> bool:
    """Convert a boolean, or its text as Jinja renders it.

    :raises GongConfigError: it is neither, as where a template found no value.
    """
    text = str(value).strip().lower()
    if text not in ("true", "1", "yes", "false", "0", "no"):
        raise errors.GongConfigError(f"{name} must be true or false: its template rendered to something else")
    return text in ("true", "1", "yes")


def _bound(name: str, value: Any) -> datetime | None:
    """Return the instant; None: the argument was omitted.

    :raises GongConfigError: it is not one, also where a template found no value.
    """
    if value is NO_FILTER:
        return None
    moment = check_instant(name, value)
    if moment is None:
        raise errors.GongConfigError(
            f"{name} is empty: its template found no value. Omit the argument to filter nothing"
        )
    return moment
