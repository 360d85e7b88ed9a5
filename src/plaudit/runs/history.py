"""What a run asked and read, put together again from its record, its replies and its input."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from plaudit.engines.base import Engine, Request
from plaudit.engines.load import load_engine
from plaudit.errors import InputError, PlauditError, UsageError
from plaudit.io.sources import Intake, RowReader
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.runs.record import JudgeRecord
from plaudit.runs.runner import StoredVerdict, bind_record
from plaudit.sending.budget import Attempt
from plaudit.store.base import RunInfo
from plaudit.store.store import Store
from plaudit.types import Json, Message, Sample, Verdict

ReadRow = Callable[[Mapping[str, Json], int], Sequence[Sample]]
"""Returns the samples of a row, or raises `InputError`; see `BaseJudge.read_row`."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a run."""

    verdict: Verdict
    prompts: list[str]
    """What was asked; empty where the input is gone. Prompts are not stored but rendered again."""
    replies: list[str]
    notes: list[str] = []
    attempts: Sequence[Attempt] = ()
    """Requests that brought no reply, in the order in which they failed."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a store keeps of one verdict."""

    replies: list[str]
    attempts: Sequence[Attempt]
    """Requests that brought no reply, in the order in which they failed."""


def kept_of(store: Store, info: RunInfo, index: int, id: str) -> Kept | None:
    """Return what a store keeps of a verdict; None: nothing, or of a sample of another id."""
    for found, _, payload in store.verdicts(info.number, start=index, limit=1):
        stored = msgspec.msgpack.decode(payload, type=StoredVerdict)
        if found == index and stored.verdict.id == id:
            return Kept(replies=_replies(store, stored), attempts=stored.attempts)
    return None


async def show_run(
    store: Store, run: str, *, failed: bool = False, limit: int | None = None
) -> Iterator[Shown]:
    """Return the samples of a run, one after the other.

    Args:
        store: where the run is.
        run: its name or number, or `last`.
        failed: only what failed or is invalid.
        limit: most samples.

    Raises:
        UsageError: there is no such run, or it judged nothing.
    """
    info = store.find_run(run)
    config = msgspec.json.decode(info.config)
    if "judge" not in config:
        out = config["options"].get("out")
        raise UsageError(
            f"{info.name} is no run of a judge: what it did is in "
            + ("its output, which was kept nowhere" if out is None else f"its output, {out}")
        )
    record = msgspec.json.decode(info.config, type=JudgeRecord)
    task, reason = None, ""
    try:
        task, _ = await bind_again(record)
    except PlauditError as error:
        reason = f"the prompt cannot be shown: {error}"
    return _walk(store, info, record, (task, reason), failed, limit)


async def bind_again(
    record: JudgeRecord,
) -> tuple[BaseJudge | PanelJudge, Engine | Sequence[Engine]]:
    """Return the judge of a run, and the engine that it is bound to; for a panel, one a member.

    Raises:
        PlauditError: the engine or the model cannot be found.
    """
    if record.panel is None:
        engine = load_engine(record.engine)
    else:
        engine = [load_engine(member.engine) for member in record.panel.members]
    return await bind_record(record, engine, record.without_logprobs), engine


def _walk(
    store: Store,
    info: RunInfo,
    record: JudgeRecord,
    bound: tuple[BaseJudge | PanelJudge | None, str],
    failed: bool,
    limit: int | None,
) -> Iterator[Shown]:
    task, reason = bound
    source = record.options.source
    samples = SampleReader(task.read_row, source) if task is not None else None
    statuses = {"failed", "invalid"} if failed else None
    for index, _, payload in store.verdicts(info.number, statuses, limit=limit):
        stored = msgspec.msgpack.decode(payload, type=StoredVerdict)
        verdict, prompts, notes = stored.verdict, list[str](), list[str]()
        sample = samples.find(index) if samples is not None else None
        if task is None or sample is None or sample.id != verdict.id:
            notes = [reason or "the prompt cannot be shown: the input is gone or has changed"]
        else:
            row, metadata = task.row_of(sample), sample.metadata
            verdict = msgspec.structs.replace(verdict, input=row, metadata=metadata)
            prompts = [prompt_text(request.prompt) for request in _requests(task, sample, verdict)]
        yield Shown(
            verdict=verdict,
            prompts=prompts,
            replies=_replies(store, stored),
            notes=notes,
            attempts=stored.attempts,
        )


def _requests(task: BaseJudge | PanelJudge, sample: Sample, verdict: Verdict) -> Sequence[Request]:
    """Return what was asked about a sample; of a cascade, by the steps that it reached."""
    if isinstance(task, PanelJudge):
        reached = task.tasks[: len(verdict.fields["members"])]
        return [request for member in reached for request in member.requests(sample)]
    return task.requests(sample)


class SampleReader:
    """Reads the input of a run along with its verdicts, which come in the order of their index."""

    def __init__(self, read_row: ReadRow, source: str) -> None:
        """Read from the beginning.

        Args:
            read_row: takes the samples from a row, as the judge did.
            source: path of the input; of standard input, nothing is left.
        """
        self._samples = self._read(read_row, source)
        self._last: Sample | None = None
        self.row: Mapping[str, Json] = {}
        """The row of the sample that was read last."""

    def find(self, index: int) -> Sample | None:
        """Return the sample of an index; None where the input is gone or has changed."""
        while self._last is None or self._last.index < index:
            self._last = next(self._samples, None)
            if self._last is None:
                return None
        return self._last if self._last.index == index else None

    def _read(self, read_row: ReadRow, source: str) -> Iterator[Sample]:
        def read(row: Mapping[str, Json], index: int) -> Sequence[Sample]:
            samples = read_row(row, index)
            self.row = row
            return samples

        if source == "-":
            return
        with suppress(InputError):
            yield from Intake(RowReader(source), read).items()


def _replies(store: Store, stored: StoredVerdict) -> list[str]:
    """Return the replies that were kept; where none were, those in the verdict."""
    kept = [store.get_reply(key) for key in stored.keys]
    found = [reply.text for reply in kept if reply is not None and reply.problem is None]
    raw = stored.verdict.raw
    return found if found or isinstance(raw, msgspec.UnsetType) else raw


def prompt_text(prompt: str | tuple[Message, ...]) -> str:
    """Return a prompt as one text, with the roles of messages in angle brackets."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"<{message.role}>\n{message.content}" for message in prompt)
