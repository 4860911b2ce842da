"""Operators for Gong's Users API: one an endpoint, each hands what arrives to a ``handler``.

A handler is called with each page of users, or each group of settings histories, as it arrives;
the value of its last call becomes the operator's XCom. Without one, the operator returns the
plain result, for small use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException

from gong_provider.client import errors
from gong_provider.client.endpoints import IDS_PER_CALL, check_instant
from gong_provider.client.models import HistoryFailure
from gong_provider.operators.processed_ids import TakenIds
from gong_provider.operators.progress import Progress
from gong_provider.operators.user_ids import NO_FILTER, NoFilterType, UserIds, read_user_id, read_user_ids
from gong_provider.retry import policy_for

if TYPE_CHECKING:
    from airflow.sdk import Context, RetryPolicy

    from gong_provider.client.claims import Claim
    from gong_provider.client.models import HistoryOutcome, Listing, ListingProgress, UserAnswer, UsersPage
    from gong_provider.hooks.gong import GongHook


class _GongOperator(BaseOperator):
    """What Gong's operators share: the connection, and what becomes of a task that can't go on now.

    What can't succeed fails at once, the rest is tried again (``retry.policy_for``). A pause
    that is too long for a worker to wait frees it: the task is rescheduled, which costs no try. A task
    without a handler keeps no answer between tries, and fails where it would have to pay again.
    """

    template_fields: Sequence[str] = ("gong_conn_id",)
    ui_color = "#e7defa"

    # Named, for Airflow fills only named arguments from default_args. A mapped operator gets those that were
    # left out as Airflow's own defaults: None, and this very timedelta.
    def __init__(
        self,
        *,
        gong_conn_id: str = "gong_default",
        retry_policy: RetryPolicy | None = None,
        retry_delay: timedelta | float = BaseOperator.retry_delay,
        retry_exponential_backoff: float = 0,
        **kwargs: Any,
    ) -> None:
        has_own_delay = retry_delay is not BaseOperator.retry_delay or retry_exponential_backoff != 0
        super().__init__(
            retry_policy=retry_policy or policy_for(has_own_delay=has_own_delay),
            retry_delay=retry_delay,
            retry_exponential_backoff=retry_exponential_backoff,
            **kwargs,
        )
        self.gong_conn_id = gong_conn_id

    def hook(self) -> GongHook:
        """A hook on this operator's connection."""
        # Imported late: parsing a DAG must not load an HTTP client.
        from gong_provider.hooks.gong import GongHook

        return GongHook(self.gong_conn_id)

    @contextmanager
    def _rescheduled(self) -> Iterator[None]:
        try:
            yield
        except errors.GongRateLimitError as error:
            goes_on_at = datetime.now(UTC) + timedelta(seconds=max(1.0, error.retry_after_s or 0.0))
            self.log.warning("%s. The task goes on at %s", error, goes_on_at.isoformat(timespec="seconds"))
            raise AirflowRescheduleException(goes_on_at) from None  # type: ignore[no-untyped-call]

    def _take_pages(
        self, pages: Iterable[UsersPage], handler: Callable[[UsersPage], Any] | None, progress: Progress
    ) -> Any:
        result: Any = None if handler else {}
        try:
            for page in pages:
                if handler:
                    result = handler(page)
                else:
                    result.update((user.user_id, asdict(user)) for user in page.users)
                progress.add(len(page.users), page.calls, of=page.total_records)
        except errors.GongRateLimitError as error:
            if handler or not result:
                raise
            raise _not_rescheduled(error) from error
        return result if handler else list(result.values())


class GongListUsersOperator(_GongOperator):
    """List all users, page by page.

    :param include_avatars: the contract adds ``avatar_url``, the live service adds synthetic
        users that stand for Gong employees. (templated)
    :param handler: called with each ``UsersPage``; its last value
        is returned. None: all users are returned, as a list of dicts.
    :param resume_from: called when the task begins: how far it came before it was cut off, or None. Without
        it each try begins at the first page, also after a pause.
    :param gong_conn_id: connection of type ``gong``. (templated)
    """

    template_fields = (*_GongOperator.template_fields, "include_avatars")

    def __init__(
        self,
        *,
        include_avatars: bool | str = False,
        handler: Callable[[UsersPage], Any] | None = None,
        resume_from: Callable[[], ListingProgress | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.include_avatars = include_avatars
        self.handler = handler
        self.resume_from = resume_from

    def execute(self, context: Context) -> Any:  # noqa: ARG002
        with self._rescheduled():
            progress = self.resume_from() if self.resume_from else None
        if progress and progress.cursor is None:
            self.log.info("The listing had come to its end, after page %d", progress.pages)
            return None
        if progress:
            self.log.info("The listing goes on after page %d", progress.pages)
        said = Progress("users", None, self.log.info, done=len(progress.ids) if progress else 0)
        with self._rescheduled(), self.hook() as hook, said:
            pages = hook.iter_user_pages(include_avatars=_flag(self.include_avatars), start=progress)
            return self._take_pages(pages, self.handler, said)


class GongListUsersByFilterOperator(_GongOperator):
    """List the users that match a filter, page by page.

    An argument that is left out, or is ``NO_FILTER``, filters nothing; where all are, everyone is listed. A
    template can render to it: ``"{{ params.user_ids or NO_FILTER }}"``, rendered as a native object, with
    ``NO_FILTER`` among the DAG's ``user_defined_macros``. One that renders to None or to "None" is an error.

    :param user_ids: these users: ids as text or int, or the JSON or Python text of a list. Empty means
        nobody: no call is made. (templated)
    :param user_ids_from: called when the task begins: the ids, where they are known only then, or are to
        be seen in no template. Where it answers none, no call is made.
    :param created_from: created at or after this instant (ISO 8601 or datetime). (templated)
    :param created_to: created before this instant. (templated)
    :param include_avatars: see ``GongListUsersOperator``. (templated)
    :param handler: see ``GongListUsersOperator``. With more than a hundred ``user_ids``, a task that is
        tried again does not ask for those that it has taken (see ``GongGetUserSettingsHistoryOperator``).
    :param when_asked: called each time a call's ids, at most a hundred, were asked for and all that came
        of it went to ``handler``: with these ids (none where no ids were given) and the
        ``Listing`` that says when it began and whether it was whole. So
        whoever is asked for and did not come is unknown to Gong. With ``user_ids_from``, a task that is
        tried again begins again: note here what is done, and leave it out there.
    :param gong_conn_id: connection of type ``gong``. (templated)
    """

    template_fields = (
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
        user_ids_from: Callable[[], Iterable[str | int]] | None = None,
        created_from: datetime | str | NoFilterType = NO_FILTER,
        created_to: datetime | str | NoFilterType = NO_FILTER,
        include_avatars: bool | str = False,
        handler: Callable[[UsersPage], Any] | None = None,
        when_asked: Callable[[list[str], Listing], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.user_ids = user_ids
        self.user_ids_from = user_ids_from
        self.created_from = created_from
        self.created_to = created_to
        self.include_avatars = include_avatars
        self.handler = handler
        self.when_asked = when_asked

    def execute(self, context: Context) -> Any:
        created_from = _bound("created_from", self.created_from)
        created_to = _bound("created_to", self.created_to)
        with self._rescheduled():
            ids = self._chosen_ids()
        taken = None
        # What one call can ask for is not worth a call of Airflow's API.
        if self.handler and not self.user_ids_from and ids and len(ids) > IDS_PER_CALL:
            taken = _taken_ids(context)
            ids = taken.not_among(ids) if taken else ids
        if ids == []:
            self.log.info("There is nobody to ask for: no call")
            return None if self.handler else []
        said = Progress("users", len(ids) if ids else None, self.log.info)
        with self._rescheduled(), self.hook() as hook, said:
            pages = hook.iter_user_pages_by_filter(
                user_ids=ids,
                created_from=created_from,
                created_to=created_to,
                include_avatars=_flag(self.include_avatars),
            )
            return self._take_pages(self._telling_when_asked(pages, ids or [], taken), self.handler, said)

    def _chosen_ids(self) -> list[str] | None:
        """The ids, each once; None: the filter is not by ids."""
        if self.user_ids_from:
            if self.user_ids is not NO_FILTER:
                raise errors.GongConfigError("Give either user_ids or user_ids_from: not both")
            return read_user_ids(self.user_ids_from(), "user_ids_from", exact=True)
        return None if self.user_ids is NO_FILTER else read_user_ids(self.user_ids, "user_ids")

    def _telling_when_asked(
        self, pages: Iterable[UsersPage], ids: list[str], taken: TakenIds | None
    ) -> Iterator[UsersPage]:
        start = 0
        for page in pages:
            yield page  # comes back when it was handed over
            if page.listing and page.listing.finished:
                asked = ids[start : start + IDS_PER_CALL]
                if self.when_asked:
                    self.when_asked(asked, page.listing)
                if taken:
                    taken.add(asked)
                start += IDS_PER_CALL


class GongGetUserOperator(_GongOperator):
    """Get one user.

    :param user_id: Gong's id, as text or int. (templated)
    :param handler: called with the ``UserAnswer``; its value is
        returned. None: the user is returned, as a dict.
    :param when_unknown: called with the error when Gong knows no such user; its value is returned.
        None: the error is raised.
    :param gong_conn_id: connection of type ``gong``. (templated)
    """

    template_fields = (*_GongOperator.template_fields, "user_id")

    def __init__(
        self,
        *,
        user_id: str | int,
        handler: Callable[[UserAnswer], Any] | None = None,
        when_unknown: Callable[[errors.GongNotFoundError], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.user_id = user_id
        self.handler = handler
        self.when_unknown = when_unknown

    def execute(self, context: Context) -> Any:  # noqa: ARG002
        user_id = read_user_id(self.user_id, "user_id")
        with self._rescheduled(), self.hook() as hook:
            try:
                answer = hook.get_user(user_id)
            except errors.GongNotFoundError as error:
                if self.when_unknown is None:
                    raise
                return self.when_unknown(error)
        return self.handler(answer) if self.handler else asdict(answer.user)


class GongGetUserSettingsHistoryOperator(_GongOperator):
    """Get the settings histories of users: several calls at once, handed over in groups.

    Give ``user_ids``, or a ``batch`` (such as a mapped task gets) with ``batch_to_ids``. Without ids, as also
    where a template renders to None, the task fails; an empty list means nobody: no call is made.

    With a handler, a task that is tried again or rescheduled does not ask for users whose outcome the
    handler has taken: their ids, and nothing else, are kept in Airflow's task state store, one write a
    group. A cleared task begins again. With ``claim`` nothing is kept, for the claim knows what remains.

    Without a handler no answer is kept: a pause of over a minute fails the task, and it is not tried again.

    :param user_ids: whose histories: ids as text or int, or the JSON or Python text of a list. (templated)
    :param batch: what tells this task its users, small enough for XCom. (templated)
    :param batch_to_ids: turns ``batch`` into user ids, when the task runs.
    :param handler: called with each group, a list of ``SettingsHistory`` and ``HistoryFailure``; its
        last value is returned, None where earlier tries took all. None: the task returns
        ``{"changes": {user id: [change, ...]}, "unknown_ids": [user id, ...]}``; any other failure of a
        user is raised.
    :param fail_on_unknown: a user whom Gong does not know fails the task, at once, with a
        ``GongNotFoundError``; the handler has taken the user's group before.
    :param claim: asked shortly before the calls with the next ids, answers a
        ``Claimed``: so that several runs at once never ask for the same.
    :param when_day_is_used_up: what to do when the account's calls of the day are gone. ``wait``: the
        task is rescheduled until some are free; without a handler it fails. ``leave``: it succeeds, and the
        rest is left.
    :param group_size: histories after which a group closes; it does at 5,000 changes, too.
    :param group_seconds: seconds after which it closes.
    :param gong_conn_id: connection of type ``gong``. (templated)
    """

    template_fields = (*_GongOperator.template_fields, "user_ids", "batch")

    def __init__(
        self,
        *,
        user_ids: UserIds | None = None,
        batch: Any = None,
        batch_to_ids: Callable[[Any], Iterable[str | int]] | None = None,
        handler: Callable[[list[HistoryOutcome]], Any] | None = None,
        fail_on_unknown: bool = False,
        claim: Claim | None = None,
        when_day_is_used_up: Literal["wait", "leave"] = "wait",
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
        self.when_day_is_used_up = when_day_is_used_up
        self.group_size = group_size
        self.group_seconds = group_seconds

    def execute(self, context: Context) -> Any:
        with self._rescheduled():
            ids = self._chosen_ids()
        result: Any = None if self.handler else {"changes": {}, "unknown_ids": []}
        if not ids:
            self.log.info("There is nobody to ask for: no call")
            return result
        taken = _taken_ids(context) if self.handler and not self.claim else None
        remaining = taken.not_among(ids) if taken else ids
        handler = self.handler or partial(_collect, result)
        said = Progress("histories", len(ids), self.log.info, done=len(ids) - len(remaining))
        with self._rescheduled(), self.hook() as hook, said:
            groups = hook.iter_history_groups(
                remaining, group_size=self.group_size, group_seconds=self.group_seconds, claim=self.claim
            )
            try:
                for group in groups:
                    result = handler(group)
                    fetched = sum(hasattr(outcome, "changes") for outcome in group)
                    calls = sum(outcome.calls for outcome in group)
                    said.add(fetched, calls, failed=len(group) - fetched)
                    if self.fail_on_unknown:
                        _raise_failure(group, gone=True)
                    if taken:
                        taken.add(outcome.user_id for outcome in group)
            except errors.GongRateLimitError as error:
                if isinstance(error, errors.GongDayUsedUpError) and self.when_day_is_used_up == "leave":
                    self.log.warning("%s. What is not fetched is left to a later run", error)
                elif self.handler:
                    raise
                else:
                    raise _not_rescheduled(error) from error
        return result

    def _chosen_ids(self) -> list[str]:
        if self.batch_to_ids is None:
            return read_user_ids(self.user_ids, "user_ids")
        if self.user_ids is not None:
            raise errors.GongConfigError("Give either user_ids, or a batch with batch_to_ids: not both")
        return read_user_ids(self.batch_to_ids(self.batch), "batch_to_ids", exact=True)


def _collect(result: dict[str, Any], group: list[HistoryOutcome]) -> dict[str, Any]:
    """The handler for small use: raises the first failure of a user whom Gong knows."""
    _raise_failure(group, gone=False)
    for outcome in group:
        if isinstance(outcome, HistoryFailure):
            result["unknown_ids"].append(outcome.user_id)
        else:
            result["changes"][outcome.user_id] = [
                asdict(change) | {"change_key": change.change_key.hex()} for change in outcome.changes
            ]
    return result


def _raise_failure(group: list[HistoryOutcome], *, gone: bool) -> None:
    """Raise the error of the first user who is gone, or of the first other failure."""
    for outcome in group:
        if isinstance(outcome, HistoryFailure) and outcome.gone is gone:
            raise outcome.error or errors.GongError(outcome.reason)


def _taken_ids(context: Context) -> TakenIds | None:
    """What earlier tries took; None where no Airflow runs the operator, as in a unit test."""
    return TakenIds(context) if "task_state_store" in context else None


def _not_rescheduled(error: errors.GongRateLimitError) -> AirflowFailException:
    """What fails a task that would lose its answers by a pause; no retry policy is asked."""
    return AirflowFailException(
        f"Gong {error.what}. The task can't wait for that: without a handler nothing is kept between tries, "
        "and the next would pay for all answers again. Give the operator a handler, or ask for fewer users"
    )


def _flag(value: bool | str) -> bool:
    """A boolean, or what Jinja made of one."""
    return str(value).strip().lower() in ("true", "1", "yes")


def _bound(name: str, value: datetime | str | NoFilterType) -> datetime | None:
    """The instant; None: it was left out.

    :raises GongConfigError: it is none, also where a template found no value.
    """
    if value is NO_FILTER:
        return None
    moment = check_instant(name, value)
    if moment is None:
        raise errors.GongConfigError(
            f"{name} is empty: its template found no value. Leave the argument out where nothing is filtered"
        )
    return moment
