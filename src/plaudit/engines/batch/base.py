"""What the batch APIs of all providers have in common: a client, its limits, what it reports."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import msgspec
from yarl import URL

from plaudit.engines.http.engine import HTTPEngine
from plaudit.engines.http.errors import shorten
from plaudit.engines.http.transport import Answered, Transfer, Transport, Upload
from plaudit.engines.replies import read_counts
from plaudit.errors import CallError, Cause, PlauditError, ReplyError
from plaudit.types import Json

MARGIN = 0.9
"""Share of a provider's limits that is used."""
_ID = re.compile(r"[\w.:=@+-]{1,256}(/[\w.:=@+-]{1,256})?", re.ASCII)
_PAGES = 20
"""Most pages of a list that are read."""


class BatchLimits(NamedTuple):
    """Most that one batch may hold."""

    rows: int
    bytes: int


class BatchState(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider reports of a batch."""

    id: str
    state: Literal["running", "ended", "refused"]
    """`refused`: the batch failed whole, and no row of it was asked."""
    total: int = 0
    """Rows; 0 where the provider does not say."""
    done: int = 0
    failed: int = 0
    created: float = 0.0
    """Seconds since 1970; 0: unknown."""
    outputs: tuple[str, ...] = ()
    """Files with results, and with errors."""
    rest: Cause = Cause.BAD_RESPONSE
    """The cause of rows that no result names."""
    why: str = ""
    """What the provider says of a batch that failed, expired or was canceled."""
    tag: str = ""
    """The tag that the batch was created with; empty where the provider keeps none."""
    file: str = ""
    """The input file; empty where there is none."""


class BatchLine(msgspec.Struct, frozen=True):
    """The result of one row."""

    key: str
    body: bytes = b""
    """The body of a good reply, as the live endpoint sends it."""
    error: CallError | ReplyError | None = None
    """Why there is none."""


class BatchClient(ABC):
    """Talks to the batch API of one provider.

    Every method raises `CallError` where nothing useful came (`retryable`: it may later), and
    `EngineUnusableError` where no request can succeed.
    """

    limits: BatchLimits
    """Limits of the provider."""
    uploads: bool = True
    """Whether rows go into a file before the batch is created."""
    tagged: bool = True
    """Whether its tag or its file distinguishes a batch from others."""

    def __init__(self, engine: HTTPEngine[Any, Any]) -> None:
        """Use an engine's endpoint; nothing is contacted."""
        self.engine = engine
        self.transport = engine.transport

    def share(self) -> float:
        """Return the share of the live price that the engine's model costs in a batch."""
        return 0.5

    @abstractmethod
    def line(self, key: str, body: bytes) -> bytes:
        """Return a row of the input, without a line end.

        Raises:
            UsageError: the batch API lacks what the body asks for.
        """

    async def upload(self, path: Path) -> str:
        """Send a file of rows and return its id."""
        raise NotImplementedError

    @abstractmethod
    async def create(self, path: Path, file: str, tag: str) -> str:
        """Create a batch and return its id.

        Args:
            path: the rows.
            file: the uploaded file's id; empty where rows are not uploaded first.
            tag: by which the batch is found again, where the provider keeps it.
        """

    @abstractmethod
    async def look(self, id: str) -> BatchState:
        """Return what became of a batch."""

    @abstractmethod
    async def newest(self, since: float) -> list[BatchState]:
        """Return the batches of the account that were created after a time, newest first."""

    @abstractmethod
    def state(self, found: dict[str, Any]) -> BatchState:
        """Return what a batch says, as the provider describes it."""

    async def listed(self, path: str, cursor: str, rows: str, since: float) -> list[BatchState]:
        """Read a list of batches, newest first, page by page; see `newest`.

        Args:
            path: of the list, with the query of its first page.
            cursor: the parameter that says where a further page begins.
            rows: the field that holds the batches of a page.
            since: seconds since 1970.
        """

        async def page(place: str | None) -> tuple[list[BatchState], str | None]:
            found = await self.ask("GET", f"{path}&{cursor}={place}" if place else path)
            batches = [self.state(one) for one in parts(found, rows)]
            last = batches[-1].id if batches and found.get("has_more") else None
            return batches, found.get("nextPageToken") or last

        return await gather_pages(page, since)

    @abstractmethod
    async def cancel(self, id: str) -> None:
        """Have the provider stop a batch; what is answered by then stays."""

    @abstractmethod
    async def fetch(self, batch: BatchState, folder: Path) -> list[Path]:
        """Write the results of a batch that ended to files."""

    @abstractmethod
    def read(self, line: bytes) -> BatchLine:
        """Read a line of results; raises any exception where it is none."""

    async def close(self) -> None:
        """Close connections; the client may be used again."""
        await self.transport.close()
        await self.engine.close()

    # What clients share

    def results(self, paths: Sequence[Path]) -> Iterator[BatchLine]:
        """Yield the results in files; a line that cannot be read is passed over."""
        for path in paths:
            with path.open("rb") as file:
                for line in file:
                    try:
                        yield self.read(self.transport.hide_key(line))
                    except (msgspec.DecodeError, ValueError, TypeError, KeyError):
                        continue

    async def ask(self, method: str, path: str, body: Json = None) -> dict[str, Any]:
        """Send JSON and return the JSON object of a good reply."""
        url = self.transport.url(path)
        content = None if body is None else msgspec.json.encode(body)
        if method == "POST" and content is None:
            content = b"{}"
        return self.good(
            await self.transport.transfer(Transfer(method, url, content)), content or b""
        )

    async def send(self, url: URL, upload: Upload) -> dict[str, Any]:
        """Send a file and return the JSON object of a good reply."""
        return self.good(await self.transport.transfer(Transfer("POST", url, upload)))

    async def save(self, url: URL, path: Path) -> Path:
        """Write the body of a good reply to a file."""
        answered = await self.transport.transfer(Transfer("GET", url, into=path))
        if answered[0] != 200:
            raise self.refused(answered)
        return path

    def good(self, answered: Answered, sent: bytes = b"") -> dict[str, Any]:
        """Return the JSON object of a good reply; a list is the `data` of one."""
        status, _, content = answered
        if not 200 <= status < 300:
            raise self.refused(answered, sent)
        found = self.transport.read(content, json.loads)
        if isinstance(found, list):
            return {"data": cast("list[Any]", found)}
        if not isinstance(found, dict):
            raise self.transport.bad_response("sent no JSON object")
        return cast("dict[str, Any]", found)

    def refused(self, answered: Answered, sent: bytes = b"") -> PlauditError:
        """Return the error that a reply stands for."""
        status, headers, content = answered
        reply = self.transport.read_error(status, content, headers, sent)
        return self.transport.translate(reply)

    def problem(self, status: int, content: bytes) -> CallError | ReplyError:
        """Return why a row has no reply, of the error body that the live endpoint would send."""
        found = self.transport.translate(self.transport.read_error(status, content))
        if isinstance(found, CallError | ReplyError):
            return found
        return CallError(Cause.BAD_REQUEST, str(found))


def words(transport: Transport, said: Any) -> str:
    """Return what a provider says, printable, short and without the key."""
    return shorten(transport.redact(str(said)))


def own_transport(of: Transport, base_url: str, headers: Any) -> Transport:
    """Return a transport to another part of an endpoint, with the same key."""
    return Transport(of.scheme, base_url, of.key_variable, headers, timeouts=of.timeouts)


def taken(found: Mapping[str, Any], name: str) -> str:
    """Return an id that a provider sent, which may stand in a path.

    Raises:
        CallError: there is none, or it holds what no id holds.
    """
    given = found.get(name)
    if isinstance(given, str) and _ID.fullmatch(given) and ".." not in given:
        return given
    problem = f"the reply holds no usable {name!r}"
    raise CallError(Cause.BAD_RESPONSE, problem, retryable=True)


def optional(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return an id that may be missing."""
    return (taken(found, name),) if found.get(name) else ()


def seconds_of(given: Any) -> float:
    """Return a time as seconds since 1970, of a number or an ISO 8601 text; 0: unknown."""
    if isinstance(given, int | float):
        return float(given)
    try:
        time = datetime.fromisoformat(str(given))
    except ValueError:
        return 0.0
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def count_of(found: Mapping[str, Any], *names: str) -> int:
    """Return the sum of counts, which may be numbers, texts or missing."""
    return sum(count or 0 for count in read_counts(found, *names))


def part(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object within an object; empty where there is none."""
    given = found.get(name)
    return cast("dict[str, Any]", given) if isinstance(given, dict) else {}


def parts(found: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects of a list within an object."""
    given = found.get(name)
    listed = cast("list[Any]", given) if isinstance(given, list) else []
    return [one for one in listed if isinstance(one, dict)]


async def gather_pages(page: Any, since: float) -> list[BatchState]:
    """Read pages of a list, newest first, up to a time.

    Args:
        page: async function of the place to go on at, None at first; returns the batches of a page
            and the next place, None at the end.
        since: seconds since 1970; older batches are left out.
    """
    found: list[BatchState] = []
    place: Any = None
    for _ in range(_PAGES):
        batches, place = await page(place)
        found += [one for one in batches if one.created >= since or not one.created]
        if place is None or any(0 < one.created < since for one in batches):
            break
    return found
