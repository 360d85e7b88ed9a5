"""Questions made from a corpus: prompts, replies, and what became of them."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec

from plaudit._util.aio import for_each
from plaudit._util.loops import run_sync
from plaudit._util.options import Help
from plaudit._util.ranges import COUNT, WHOLE_32, Range, check_ranges
from plaudit.corpus.checks import Draft, Sieve, sample, text_key
from plaudit.corpus.index import Corpus
from plaudit.corpus.layout import Chunk
from plaudit.corpus.questions import Question
from plaudit.engines.base import Completion, Engine, Mode, Request, Sampling, Schema, engine_info
from plaudit.engines.load import load_engine
from plaudit.errors import CallError, Cause, ReplyError, UsageError
from plaudit.io.progress import Progress
from plaudit.judges import json_reply
from plaudit.prompts.escape import Escaper, unescape
from plaudit.prompts.template import Template, builtin
from plaudit.runs.cached import CachedClient, SampleClient
from plaudit.runs.runtime import Runtimes
from plaudit.sending.pool import SendPolicy
from plaudit.types import Message, Usage

DIFFICULTIES = ("easy", "medium", "hard")
_BESIDE = 600
"""Characters of each neighbour that are shown: those next to the passage."""
_TURN = "questions"
_VARIABLES = frozenset({"count", "place", "before", "passage", "after"})


class Questioner:
    """Makes the requests for one model."""

    def __init__(self, engine: Engine, per_chunk: int, max_tokens: int) -> None:
        """Prepare the prompt.

        Args:
            engine: who is asked.
            per_chunk: most questions about a chunk.
            max_tokens: most tokens of a reply.

        Raises:
            UsageError: the engine writes no text.
        """
        if engine.capabilities.scores:
            raise UsageError(f"{engine.uri} gives scores and writes no text: name another engine")
        self._template = Template(builtin("questions"), "questions", _VARIABLES)
        special = engine_info(engine).special_tokens
        self._escape = Escaper(self._template.delimiters, special).escape
        self._mode: Mode = engine.capabilities.default_mode
        self._static = self._template.instructions({"count": per_chunk})
        self._sampling = Sampling(max_tokens=max_tokens)
        self._schema = Schema("questions", msgspec.Raw(msgspec.json.encode(_schema(per_chunk))))
        self.per_chunk = per_chunk

    def request(self, chunk: Chunk, before: str, after: str) -> Request:
        """Return what is asked about a chunk, given the texts of its neighbours."""
        escape = self._escape
        shown = self._template.sample(
            {
                "place": escape(chunk.place),
                "before": escape(before[-_BESIDE:].strip() or "(nothing)"),
                "after": escape(after[:_BESIDE].strip() or "(nothing)"),
                "passage": escape(chunk.text),
            }
        )
        static = self._static
        chat = (Message("system", static.strip()), Message("user", shown.strip()))
        return Request(
            prompt=chat if self._mode == "chat" else f"{static}{shown}",
            sampling=self._sampling,
            schema=self._schema,
            shared=1 if self._mode == "chat" else len(static),
            sample_id=chunk.id,
            turn=_TURN,
        )

    def again(self, request: Request, reply: Completion, error: ReplyError) -> Request:
        """Return what is asked where a reply could not be used."""
        return json_reply.repair_request(request, reply, error, self._escape, "shorter, ")


def read_drafts(reply: Completion) -> list[Draft | None]:
    """Return the questions of a reply; None for an entry that is none.

    Raises:
        ReplyError: the reply has no list of questions, or all that is in it are none.
    """
    entries: Any = json_reply.read_object(reply).get("questions")
    if not isinstance(entries, list):
        raise ReplyError(Cause.UNPARSEABLE, "the reply has no list of questions")
    drafts = [_draft(entry) for entry in cast("list[Any]", entries)]
    if drafts and not any(drafts):
        raise ReplyError(Cause.UNPARSEABLE, "nothing in the list of the reply is a question")
    return drafts


def _draft(entry: Any) -> Draft | None:
    try:
        draft = msgspec.convert(entry, Draft)
    except msgspec.ValidationError:
        return None
    difficulty = draft.difficulty.strip().lower()
    return Draft(
        question=_plain(draft.question),
        answer=_plain(draft.answer),
        supporting_text=unescape(draft.supporting_text).strip(),
        difficulty=difficulty if difficulty in DIFFICULTIES else "",
    )


def _plain(text: str) -> str:
    return " ".join(unescape(text).split())


def _schema(per_chunk: int) -> Mapping[str, Any]:
    entry = {
        "type": "object",
        "properties": {
            "question": {"type": "string", "maxLength": 300},
            "answer": {"type": "string", "maxLength": 200},
            "supporting_text": {"type": "string", "maxLength": 300},
            "difficulty": {"type": "string", "enum": list(DIFFICULTIES)},
        },
        "required": ["question", "answer", "supporting_text", "difficulty"],
        "additionalProperties": False,
    }
    questions = {"type": "array", "maxItems": per_chunk, "items": entry}
    return {
        "type": "object",
        "properties": {"questions": questions},
        "required": ["questions"],
        "additionalProperties": False,
    }


class QuestionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How questions are made."""

    per_chunk: Annotated[
        int, Range(1, WHOLE_32), Help("Most questions about a chunk.", "Input")
    ] = 2
    """What a model writes beyond that is not read."""
    limit: Annotated[
        int | None,
        COUNT,
        Help("Ask about so many chunks, chosen by the seed.", "Input", "CHUNKS"),
    ] = None
    """None: all."""
    seed: Annotated[int, Help("Seed of the split and of the choice of chunks.", "Input")] = 42
    test_fraction: Annotated[
        float, Range(0, 1), Help("Chance of a chunk to be on the test side.", "Input", "P")
    ] = 0.1
    max_tokens: Annotated[int, Range(1, WHOLE_32), Help("Most tokens of a reply.", "Engine")] = 768

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ArgumentError: one is out of range.
        """
        check_ranges(self)


class QuestionReport(msgspec.Struct, kw_only=True):
    """What became of the chunks, and of the questions that came for them."""

    chunks: int
    """Chunks that were asked about."""
    failed: int
    """Chunks without a reply; the next run asks about them again."""
    invalid: int
    """Chunks without a usable reply after the second try."""
    nothing: int
    """Chunks for which the model returned no question."""
    proposed: int
    """Questions in the replies; each was kept or dropped."""
    kept: int
    train: int
    test: int
    dropped: dict[str, int]
    """How many were dropped, by reason."""
    causes: dict[str, int]
    """How many chunks failed or are invalid, by cause."""
    first_error: str | None
    """Message of the first of these."""
    cached: int
    """Chunks that the store answered."""
    engine_calls: int
    input_tokens: int
    output_tokens: int
    seconds: float

    @property
    def exit_status(self) -> int:
        """0; or 1 where chunks have no usable reply, or no question was kept."""
        return int(bool(self.failed or self.invalid) or not self.kept)


class _Reply(msgspec.Struct, frozen=True):
    """What came of asking about a chunk."""

    number: int
    drafts: list[Draft | None] = []
    error: CallError | ReplyError | None = None
    from_store: bool = False

    @property
    def status(self) -> str:
        if self.error is None:
            return "ok"
        return "failed" if isinstance(self.error, CallError) else "invalid"


def make_questions(
    corpus: Corpus,
    engine: str | Engine = "local",
    options: QuestionOptions | None = None,
    *,
    cache: bool | str | Path = True,
    send: SendPolicy | None = None,
    progress: bool = False,
) -> tuple[list[Question], QuestionReport]:
    """Let a model write questions about the chunks of a corpus, and keep those that hold up.

    A chunk is shown with its neighbours, and only what stands in it itself counts. The same call
    again asks for nothing that was answered before.

    Args:
        corpus: from `open_corpus`.
        engine: an engine URI or an engine.
        options: how many, about which chunks, and how they are split.
        cache: whether replies are kept in the store, or the path of another store.
        send: concurrency, time-out and retries.
        progress: whether progress is shown.

    Returns:
        The questions, in the order of their chunks, and what became of all others.

    Raises:
        UsageError: an option is out of range.
        EngineUnusableError: the engine can answer nothing.
    """
    made = _make(
        corpus,
        load_engine(engine),
        options or QuestionOptions(),
        cache,
        send or SendPolicy(),
        progress,
    )
    return run_sync(made)


async def _make(
    corpus: Corpus,
    engine: Engine,
    options: QuestionOptions,
    cache: bool | str | Path,
    send: SendPolicy,
    progress: bool,
) -> tuple[list[Question], QuestionReport]:
    started = time.monotonic()
    questioner = Questioner(engine, options.per_chunk, options.max_tokens)
    keys = [text_key(chunk.text) for chunk in corpus]
    numbers = sample(keys, options.seed, options.limit)
    runtimes = Runtimes([engine], send, cache)
    try:
        client = await runtimes.here().client()
        with Progress("questions", total_rows=len(numbers), enabled=progress) as bar:
            replies = await _Asking(corpus, questioner, client, bar).ask_all(numbers)
    finally:
        await runtimes.close()
    sieve = Sieve(corpus, keys, options.seed, options.test_fraction)
    sound = [one for reply in replies for one in sieve.sound(reply.number, reply.drafts)]
    kept = sieve.different(sound)
    return kept, _report(replies, kept, sieve, client, time.monotonic() - started)


class _Asking:
    """Asks about chunks."""

    def __init__(
        self, corpus: Corpus, questioner: Questioner, client: CachedClient, progress: Progress
    ) -> None:
        self._corpus = corpus
        self._questioner = questioner
        self._client = client
        self._progress = progress
        self._replies: dict[int, _Reply] = {}

    async def ask_all(self, numbers: Sequence[int]) -> list[_Reply]:
        """Ask about chunks; return what came, in order."""
        await for_each(self._ask, numbers, self._client.pool.window)
        return [self._replies[number] for number in numbers]

    async def _ask(self, number: int) -> None:
        reported, usage = SampleClient(self._client), Usage()
        drafts: list[Draft | None] = []
        error: CallError | ReplyError | None = None
        try:
            drafts, usage = await self._drafts(self._request(number), reported)
        except (CallError, ReplyError) as problem:
            error = problem
        reply = self._replies[number] = _Reply(number, drafts, error, reported.from_store)
        self._progress.advance(reply.status, usage)

    async def _drafts(
        self, request: Request, reported: SampleClient
    ) -> tuple[list[Draft | None], Usage]:
        """Ask once, and once more where the reply cannot be used."""
        most = self._questioner.per_chunk
        reply = await reported(request)
        try:
            return read_drafts(reply)[:most], reply.usage
        except ReplyError as error:
            second = await reported(self._questioner.again(request, reply, error))
            return read_drafts(second)[:most], reply.usage + second.usage

    def _request(self, number: int) -> Request:
        texts = {n: self._corpus.chunks[n].text for n in self._corpus.around(number)}
        before, after = texts.get(number - 1, ""), texts.get(number + 1, "")
        return self._questioner.request(self._corpus.chunks[number], before, after)


def _report(
    replies: Sequence[_Reply],
    kept: Sequence[Question],
    sieve: Sieve,
    client: CachedClient,
    seconds: float,
) -> QuestionReport:
    errors = list(_errors(replies))
    statuses = Counter(reply.status for reply in replies)
    test = sum(question.split == "test" for question in kept)
    return QuestionReport(
        chunks=len(replies),
        failed=statuses["failed"],
        invalid=statuses["invalid"],
        nothing=sum(reply.error is None and not reply.drafts for reply in replies),
        proposed=sum(len(reply.drafts) for reply in replies),
        kept=len(kept),
        train=len(kept) - test,
        test=test,
        dropped={str(reason): number for reason, number in sieve.dropped.most_common()},
        causes=dict(Counter(str(error.cause) for error in errors)),
        first_error=str(errors[0]) if errors else None,
        cached=sum(reply.from_store for reply in replies),
        engine_calls=client.pool.sent,
        input_tokens=client.usage.input_tokens,
        output_tokens=client.usage.output_tokens,
        seconds=round(seconds, 3),
    )


def _errors(replies: Sequence[_Reply]) -> Iterator[CallError | ReplyError]:
    return (reply.error for reply in replies if reply.error is not None)
