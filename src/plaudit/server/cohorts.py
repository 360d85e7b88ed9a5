"""Groups whose members come in one request, or one by one from several clients."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from plaudit.errors import InputError
from plaudit.rewarding.rows import Row, RowCause, ScoredRow, row_id, unscored_row
from plaudit.server.desk import Desk, same_ids

LARGEST = 64
"""Most members of a group; each two of them are compared."""
_REMEMBERED = 4096


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which group the rows of a request belong to."""

    key: str = ""
    """What its requests have in common; not needed where one request holds all members."""
    size: int = 0
    """Its members; 0: the rows of the request."""
    deadline: float = 30.0
    """Seconds that members are waited for, from the first one's arrival."""


class _Cohort:
    """A group on its way."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.rows: dict[str, Row] = {}
        """By id, until they are scored."""
        self.closed = asyncio.Event()
        """Set once no further member is taken."""
        self.scoring: asyncio.Future[dict[str, ScoredRow]] = (
            asyncio.get_running_loop().create_future()
        )

    def add(self, rows: Sequence[Row]) -> None:
        """Take members; the last one closes the group.

        Raises:
            InputError: they do not belong to it.
        """
        key, size = self.group.key, self.group.size
        _check_questions([*self.rows.values(), *rows])
        added = {row_id(row): row for row in rows}
        for id in added.keys() & self.rows.keys():
            if added[id] != self.rows[id]:
                raise InputError(f"the group {key!r} has another member {id!r}")
        if len(self.rows | added) > size:
            raise InputError(f"the group {key!r} has more than {size} members")
        self.rows |= added
        if len(self.rows) == size:
            self.closed.set()


class Cohorts:
    """Collects the members of groups, and has them scored together once.

    A member that does not come is not waited for beyond the group's deadline: those that came are
    compared, and it has no value should it come later. The same member again, as a client sends it
    that gave up, gets the answer of the first time.
    """

    def __init__(self, desk: Desk) -> None:
        """Put them before a desk whose scorer compares groups."""
        self._desk = desk
        self._cohorts: OrderedDict[str, _Cohort] = OrderedDict()

    async def score(self, group: Group, rows: Sequence[Row], seconds: float) -> list[ScoredRow]:
        """Score members of a group, in their order.

        Args:
            group: which one.
            rows: all its members, or some.
            seconds: until when there must be answers.

        Raises:
            InputError: the rows make no group; nothing is scored.
            QueueFullError: so many rows wait that no more are taken.
        """
        check_group(group, rows)
        if is_whole(group, rows):
            return await self._desk.score_together(rows, seconds)
        cohort = self._join(group, rows)
        try:
            found = await asyncio.wait_for(asyncio.shield(cohort.scoring), seconds)
        except TimeoutError:
            return [unscored_row(row, RowCause.DEADLINE, "no answer in time") for row in rows]
        late = "the other members of its group were compared before it came"
        return [found.get(row_id(row)) or unscored_row(row, RowCause.LATE, late) for row in rows]

    def _join(self, group: Group, rows: Sequence[Row]) -> _Cohort:
        """Add members to their group.

        Raises:
            InputError: they do not belong to it.
        """
        cohort = self._cohorts.get(group.key)
        if cohort is None:
            cohort = _Cohort(group)
            cohort.add(rows)
            self._cohorts[group.key] = cohort
            while len(self._cohorts) > _REMEMBERED:
                self._cohorts.popitem(last=False)
            cohort.scoring = asyncio.get_running_loop().create_task(self._collect(cohort))
            return cohort
        if cohort.group.size != group.size:
            raise InputError(f"the group {group.key!r} has {cohort.group.size} members so far")
        if not cohort.closed.is_set():
            cohort.add(rows)
        return cohort

    async def _collect(self, cohort: _Cohort) -> dict[str, ScoredRow]:
        """Wait for the members, and have those compared that came; failures are not remembered."""
        with suppress(TimeoutError):
            await asyncio.wait_for(cohort.closed.wait(), cohort.group.deadline)
        cohort.closed.set()
        kept = False
        try:
            found = await self._compared(cohort)
            kept = all(row.status != "failed" for row in found.values())
            return found
        finally:
            cohort.rows = {}
            if not kept:
                self._cohorts.pop(cohort.group.key, None)

    async def _compared(self, cohort: _Cohort) -> dict[str, ScoredRow]:
        rows = list(cohort.rows.values())
        if len(rows) < 2:
            problem = f"{len(rows)} of {cohort.group.size} members came in time"
            answers = [
                unscored_row(row, RowCause.GROUP_INCOMPLETE, problem, status="abstained")
                for row in rows
            ]
        else:
            answers = await self._desk.score_together(rows, _FOREVER)
        return dict(zip(cohort.rows, answers, strict=True))


_FOREVER = 3600.0


def is_whole(group: Group, rows: Sequence[Row]) -> bool:
    """Whether a request holds all members of a group."""
    return len(rows) == (group.size or len(rows))


def check_group(group: Group, rows: Sequence[Row]) -> None:
    """Refuse what is no group.

    Raises:
        InputError: it is none; the message says why.
    """
    size = group.size or len(rows)
    if not 2 <= size <= LARGEST:
        raise InputError(f"a group has 2 to {LARGEST} members, not {size}")
    if not rows or len(rows) > size:
        raise InputError(f"the group has {size} members, and the request {len(rows)} rows")
    if (twice := same_ids(rows)) is not None:
        raise InputError(f"the member {twice!r} is in the group twice")
    _check_questions(rows)
    if len(rows) < size and not (group.key and all("id" in row for row in rows)):
        raise InputError(
            "a group that comes in several requests needs a 'key', and an 'id' in each row"
        )


def _check_questions(rows: Sequence[Row]) -> None:
    if any(row.get("prompt") != rows[0].get("prompt") for row in rows):
        raise InputError("the members of a group answer one prompt, and these have several")
