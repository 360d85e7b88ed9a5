"""Rows that a reward server scores: the client of `plaudit serve`'s own protocol."""

import asyncio
import math
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from plaudit._util.decoding import decode_json
from plaudit.errors import EngineUnusableError, InputError, UsageError
from plaudit.judge import Judge
from plaudit.rewarding.rows import (
    TRACE,
    Row,
    RowCause,
    ScoredRow,
    rejected_row,
    trace_of_row,
    unscored_row,
)
from plaudit.rollouts.trace import Trace
from plaudit.rollouts.traces import encode_trace

if TYPE_CHECKING:
    import aiohttp

PATIENCE_S = 300.0
"""Seconds for which answers are waited for, where no deadline is given."""
TOKEN_VARIABLE = "PLAUDIT_SERVE_TOKEN"
"""The environment variable that holds the server's token, where the URL has none."""

_AT_ONCE = 256
"""Rows of one request."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 3.0
"""Pauses before a server is asked again."""
_MARGIN = 0.9
"""The part of the time that is left which the server has."""
_REFUSED = {401: "wants another token", 403: "refuses this client", 404: "has no such reward"}
_EXCERPT = 300


def is_url(text: str) -> bool:
    """Whether a text is the URL of a reward."""
    return text.startswith(("http://", "https://"))


class _Reply(NamedTuple):
    """What came of one request."""

    status: int
    body: bytes


class RemoteScorer:
    """Scores rows by a reward server.

    While the server does not answer, or is restarted, rows are asked again up to their deadline;
    then they have no value. So has what the server answers in place of a value that it has not.
    """

    low, high = -math.inf, math.inf
    judges: Sequence[Judge] = ()
    keeps_replies = False

    def __init__(self, url: str) -> None:
        """Take the URL of a reward, such as `http://127.0.0.1:8080/v1/score/NAME`.

        A token is the password of the URL, or comes from `PLAUDIT_SERVE_TOKEN`.

        Raises:
            UsageError: the URL names no reward.
        """
        parts = urlsplit(url)
        path = parts.path.rstrip("/")
        self.name = path.rsplit("/", 1)[-1]
        if not parts.hostname or "/v1/" not in path or not self.name:
            raise UsageError(
                "the URL of a reward looks like http://HOST:PORT/v1/score/NAME, or /v1/judge/KIND"
            )
        host = parts.netloc.rsplit("@", 1)[-1]
        self.url = f"{parts.scheme}://{host}{path}"
        token = unquote(parts.password or "") or os.environ.get(TOKEN_VARIABLE, "")
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def score_now(self, row: Row) -> ScoredRow | None:
        """Return None: the server is asked."""
        del row

    async def score(self, rows: Sequence[Row]) -> list[ScoredRow]:
        """Score rows within `PATIENCE_S`; see `score_within`."""
        return await self.score_within(rows, PATIENCE_S)

    async def score_within(self, rows: Sequence[Row], seconds: float) -> list[ScoredRow]:
        """Score rows, one answer a row in their order.

        Args:
            rows: in any number.
            seconds: until when there are answers; a row without one has no value.

        Raises:
            EngineUnusableError: no request can succeed: a wrong token, no such reward.
        """
        import aiohttp

        end = time.monotonic() + seconds
        batches = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
        async with aiohttp.ClientSession(headers=self._headers) as session:
            asking = [self._ask(session, batch, end) for batch in batches]
            found = await asyncio.gather(*asking)
        return [answer for batch in found for answer in batch]

    def unstored(self) -> "RemoteScorer":
        """Return the same: what a server keeps is kept where it runs."""
        return self

    async def close(self) -> None:
        """Do nothing: connections live as long as a call."""

    async def _ask(
        self, session: "aiohttp.ClientSession", rows: Sequence[Row], end: float
    ) -> list[ScoredRow]:
        """Ask until there is an answer, or the time is over."""
        encoded = [_encoded(row) for row in rows]
        bad = {n: one for n, one in enumerate(encoded) if isinstance(one, InputError)}
        good = [one for one in encoded if not isinstance(one, InputError)]
        whole = [row for number, row in enumerate(rows) if number not in bad]
        found = iter(await self._answers(session, whole, good, end))
        return [
            rejected_row(row, bad[number]) if number in bad else next(found)
            for number, row in enumerate(rows)
        ]

    async def _answers(
        self,
        session: "aiohttp.ClientSession",
        rows: Sequence[Row],
        encoded: Sequence[msgspec.Raw],
        end: float,
    ) -> list[ScoredRow]:
        problem, pause = "", _FIRST_PAUSE_S
        while rows and (left := end - time.monotonic()) > 0:
            body = msgspec.json.encode({"rows": encoded, "deadline": left * _MARGIN})
            reply = await self._post(session, body, left)
            if isinstance(reply, _Reply) and reply.status == 200:
                return _read(reply.body, rows)
            problem = reply if isinstance(reply, str) else self._problem(reply)
            await asyncio.sleep(max(0.0, min(pause, end - time.monotonic())))
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        why = f"{self.url}: {problem or 'there was no answer in time'}"
        return [unscored_row(row, RowCause.SERVER_DOWN, why) for row in rows]

    async def _post(
        self, session: "aiohttp.ClientSession", body: bytes, seconds: float
    ) -> _Reply | str:
        """Return what came, or why nothing did."""
        import aiohttp

        limit = aiohttp.ClientTimeout(total=seconds)
        try:
            async with session.post(
                self.url, data=body, timeout=limit, allow_redirects=False
            ) as reply:
                return _Reply(reply.status, await reply.read())
        except TimeoutError:
            return "it did not answer in time"
        except (aiohttp.ClientError, OSError) as error:
            return f"it cannot be reached ({type(error).__name__})"

    def _problem(self, reply: _Reply) -> str:
        """Return why there is no answer yet.

        Raises:
            EngineUnusableError: there will never be one.
        """
        said = reply.body[:_EXCERPT].decode(errors="replace")
        known = _REFUSED.get(reply.status)
        if known is not None or reply.status in (400, 405, 413, 415, 422):
            raise EngineUnusableError(
                f"the reward server {self.url} {known or 'refuses the request'}: {said}"
            )
        return f"it answered {reply.status}: {said}"


def _encoded(row: Row) -> msgspec.Raw | InputError:
    """Return a row as JSON; one with a trace is sent as that trace."""
    try:
        if isinstance(row.get(TRACE), Trace):
            return msgspec.Raw(encode_trace(trace_of_row(row)))
        return msgspec.Raw(msgspec.json.encode(row))
    except InputError as error:
        return error
    except (TypeError, ValueError, RecursionError) as error:
        return InputError(f"the row cannot be sent as JSON: {error}")


def _read(body: bytes, rows: Sequence[Row]) -> list[ScoredRow]:
    try:
        found: list[ScoredRow] = decode_json(body, list[ScoredRow])
    except msgspec.DecodeError as error:
        found, problem = [], f"the reward server's answer cannot be read: {error}"
    else:
        problem = f"the reward server answered {len(found)} of {len(rows)} rows"
    if len(found) != len(rows):
        return [unscored_row(row, RowCause.BAD_ANSWER, problem) for row in rows]
    return [_known(one) for one in found]


def _known(answer: ScoredRow) -> ScoredRow:
    """Return an answer without what stands for a value that does not exist."""
    scored = answer.status == "ok" and answer.value is not None and math.isfinite(answer.value)
    return answer if scored else msgspec.structs.replace(answer, value=None)
