"""The Python API: a judge that takes plain dicts and gives verdicts, sync and async."""

import hashlib
import itertools
import os
import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Sized,
)
from contextlib import aclosing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import msgspec

from plaudit._util.aio import for_each, map_ordered, map_ordered_sync
from plaudit._util.closing import Closing
from plaudit._util.loops import background_loop, run_last, run_sync
from plaudit._util.ranges import Range, check_number
from plaudit.engines.base import Engine, Request
from plaudit.engines.load import load_engine
from plaudit.errors import InputError, UsageError
from plaudit.io import columns
from plaudit.io.progress import Progress, Work
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import (
    bind,
    call_fields,
    judge_fields,
    make_config,
    register,
    task_type,
)
from plaudit.judges.panel import Member, PanelConfig, Spec, named, read_cascade, read_jury
from plaudit.judges.rows import plain_row, plain_sample
from plaudit.judges.shots import replace_shots
from plaudit.runs.judging import JudgeSession
from plaudit.runs.panel import Cascade, Jury
from plaudit.runs.runtime import Runtime, Runtimes, load_early
from plaudit.sending.pool import SendPolicy
from plaudit.types import Json, Sample, Verdict, Verdicts

Row = Mapping[str, Json] | Sample
"""What is judged: a plain dict in the form of an input row, or a sample."""

OnReject = Callable[[int, InputError], object]
"""Told of a malformed row: its number, from 0, and what is wrong with it."""

_WINDOWS = Range(1, 1_000_000)


class Judge(Closing):
    """Judges rows with an engine.

    ::

        judge = Judge("feedback")
        verdict = judge.judge({"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."})
        verdict.value, verdict.reward, verdict.confidence

    A judge is cheap to make: no engine is loaded before the first row that is not in the store. It
    pickles and survives a fork, so it works in `datasets.map(num_proc=4)`. The sync methods also
    work inside a running event loop. `with Judge(...) as judge:` closes the judge at the end; so
    does Python when it collects the judge.
    """

    def __init__(
        self,
        kind: str | type[BaseJudge] = "feedback",
        *,
        engine: str | Engine | None = None,
        cache: bool | str | Path = True,
        send: SendPolicy | None = None,
        jury: Spec | None = None,
        cascade: Spec | None = None,
        **config: Any,
    ) -> None:
        """Configure a judge.

        Args:
            kind: `feedback`, `pointwise`, `pairwise`, `verify`, or a judge of your own: its class,
                or `FILE.py:Class`, whose code is then imported.
            engine: an engine URI or an engine; None: `none:` for verify, which asks no model, and
                `local`, the embedded one, for the others.
            cache: whether replies are kept in the store, or the path of another store.
            send: concurrency, time-out and retries.
            jury: a jury, as the path of its specification or as a dict of the same form; `engine`
                and `config` then hold for the members that do not say otherwise.
            cascade: a cascade, in the same way.
            config: fields of `JudgeConfig`, such as `readout="json"` or `gate=0.8`; `criteria` may
                be the path of a file. Also generation parameters that the engine declares.

        Raises:
            UsageError: there is no such judge, engine or option.
        """
        self._task_type = task_type(kind)
        self.engine = load_engine(engine or self._task_type.default_engine)
        self.config = make_config(self._task_type, judge_fields(config, self.engine))
        self.panel: PanelConfig | None = None
        self._engines: tuple[Engine, ...] = (self.engine,)
        if jury is not None and cascade is not None:
            raise UsageError("a judge is a jury or a cascade, not both")
        if jury is not None:
            self.panel, self._engines = read_jury(jury, self.config, self.engine, load_engine)
        elif cascade is not None:
            self.panel, self._engines = read_cascade(cascade, self.config, self.engine, load_engine)
        self.send = send or SendPolicy()
        self._cache = cache
        load_early(self._configs)
        self._begin()

    def _begin(self) -> None:
        """Hold what belongs to this process until the judge is collected."""
        self._runtimes = Runtimes(self._engines, self.send, self._cache)
        weakref.finalize(self, self._runtimes.drop).atexit = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process; tell what the prompts are made of.

        `datasets` hashes this to know whether a map was done before, so it is the same in every
        process, and another one when plaudit, a template, the pool or the calibration changes.
        """
        return self.__dict__ | {"_runtimes": None, "_made_of": [*map(_made_of, self._configs)]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin anew in this process."""
        self.__dict__.update(state)
        register(self._task_type)  # In another process, the kind of a user is not known yet.
        self._begin()

    def __call__(self, row: Row, *, cache: bool | None = None, **generation: Any) -> Verdict:
        """Judge one row; the same as `judge`."""
        return self.judge(row, cache=cache, **generation)

    def judge(self, row: Row, *, cache: bool | None = None, **generation: Any) -> Verdict:
        """Judge one row that holds one sample.

        Args:
            row: a dict in the form of an input row, or a sample.
            cache: False: neither read nor write stored replies for this call.
            generation: options of this call. `temperature`, `top_p`, `max_tokens`, `seed`, and
                what the engine declares (`engine.capabilities.generation`); others as
                `generation={name: value}`. What decides: `gate`, `reward_map`, `calibration`,
                which cost no request where the reply is stored. Also `shots` (rows, ready texts or
                a number), `pool`, `select`, `votes`, `vote_error`, `all_votes` and `criteria`.

        Raises:
            InputError: the row is malformed, or holds several samples.
            UsageError: an option is unknown, or cannot change from call to call.
            EngineUnusableError: the engine can answer nothing.
        """
        return run_sync(self.ajudge(row, cache=cache, **generation))

    def judge_batch(
        self,
        rows: Iterable[Row],
        *,
        progress: bool | Callable[[Verdict], None] = False,
        on_reject: OnReject | None = None,
        cache: bool | None = None,
        **generation: Any,
    ) -> Verdicts:
        """Judge many rows; the verdicts come in the order of their samples.

        The list holds all verdicts; `stream` holds a few at a time.

        Args:
            rows: dicts in the form of input rows, or samples: a list, a generator, a data set of
                `datasets`. A conversation may hold several samples.
            progress: True shows a progress bar; a function is called with each verdict.
            on_reject: called with the number and the error of each malformed row, which is then
                left out; None: the first one raises.
            cache: see `judge`.
            generation: see `judge`.

        Raises:
            InputError: a row is malformed. A list or tuple is checked before anything is asked;
                another iterable is read while it is judged.
            EngineUnusableError: the engine can answer nothing.
        """
        if isinstance(rows, Sequence):
            batch = self.ajudge_batch(
                rows, progress=progress, on_reject=on_reject, cache=cache, **generation
            )
            return run_sync(batch)
        _, judging = run_sync(self._judging(cache, generation))
        with self._telling(progress, rows, judging) as tell:
            verdicts = self.stream(rows, on_reject=on_reject, cache=cache, **generation)
            return Verdicts(tell(verdict) for verdict in verdicts)

    def stream(
        self,
        rows: Iterable[Row],
        *,
        window: int | None = None,
        on_reject: OnReject | None = None,
        cache: bool | None = None,
        **generation: Any,
    ) -> Generator[Verdict]:
        """Judge rows as they come, and give the verdicts in the order of their samples.

        Holds a window of samples at a time: rows are read only as fast as verdicts are made and
        taken, so the input may be endless. Ending early cancels what is in flight. What `rows`
        raises is raised after the verdicts before it.

        Args:
            rows: as for `judge_batch`; read in the caller's thread.
            window: most samples read ahead; None: as many as keep the engine busy. A larger one
                keeps it busier while one sample takes long.
            on_reject: see `judge_batch`.
            cache: see `judge`.
            generation: see `judge`.

        Raises:
            InputError: a row is malformed; the verdicts before it have been given.
            EngineUnusableError: the engine can answer nothing.
        """
        _check_window(window)
        samples, loop = self._samples(on_reject).of(rows), background_loop()
        runtime, judging = run_sync(self._judging(cache, generation))

        async def judge(sample: Sample) -> Verdict:
            return (await judging.judge(sample))[0]

        try:
            yield from map_ordered_sync(judge, samples, window or judging.window)
        finally:
            run_last(loop, runtime.flush)

    def map_batch(
        self,
        batch: Mapping[str, Sequence[Json]],
        *,
        prefix: str = "plaudit_",
        cache: bool | None = None,
        **generation: Any,
    ) -> dict[str, columns.Column]:
        """Judge the rows of a batch of columns: `dataset.map(judge.map_batch, batched=True)`.

        Every row gets `plaudit_status`, `plaudit_value`, `plaudit_reward`, `plaudit_confidence`,
        `plaudit_cause` and `plaudit_message`. What does not exist is null. A row that holds no
        sample, or several, gets the status `rejected` and the cause `bad_row`, and no exception.
        When this returns, the replies are in the store, so that the end of a worker loses none.

        Args:
            batch: columns of the same length, by name.
            prefix: what the names of the new columns begin with.
            cache: see `judge`.
            generation: see `judge`.

        Raises:
            UsageError: this is one row, and no batch.
            EngineUnusableError: the engine can answer nothing.
        """
        taken = [self._sample_of(row) for row in columns.rows_of(batch)]
        samples = [sample for sample in taken if isinstance(sample, Sample)]
        verdicts = iter(self.judge_batch(samples, cache=cache, **generation))
        outcomes = [next(verdicts) if isinstance(one, Sample) else one for one in taken]
        return columns.columns_of(outcomes, self.config.kind, prefix)

    async def ajudge(self, row: Row, *, cache: bool | None = None, **generation: Any) -> Verdict:
        """Judge one row; see `judge`."""
        samples = self.samples([row])
        if len(samples) != 1:
            raise InputError(f"the row holds {len(samples)} samples; use judge_batch")
        _, judging = await self._judging(cache, generation)
        return (await judging.judge(samples[0]))[0]

    async def ajudge_batch(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        progress: bool | Callable[[Verdict], None] = False,
        on_reject: OnReject | None = None,
        cache: bool | None = None,
        **generation: Any,
    ) -> Verdicts:
        """Judge many rows, of an async iterable too; see `judge_batch`."""
        taken = self._samples(on_reject)
        samples = list(taken.of(rows)) if isinstance(rows, Sequence) else taken.of_any(rows)
        runtime, judging = await self._judging(cache, generation)
        asked = judging.questions(samples) if isinstance(samples, list) else samples
        verdicts: dict[int, Verdict] = {}
        with self._telling(progress, rows, judging) as tell:

            async def judge(question: Any) -> None:
                verdict, _ = await judging.judge(question)
                verdicts[verdict.index] = tell(verdict)

            try:
                await for_each(judge, asked, judging.window)
            finally:
                await runtime.flush()
        return Verdicts(verdicts[index] for index in range(len(verdicts)))

    async def astream(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        *,
        window: int | None = None,
        on_reject: OnReject | None = None,
        cache: bool | None = None,
        **generation: Any,
    ) -> AsyncGenerator[Verdict]:
        """Judge rows as they come, of an async iterable too; see `stream`.

        Rows are read in the caller's event loop. `contextlib.aclosing` ends an early end promptly.
        """
        _check_window(window)
        samples = self._samples(on_reject).of_any(rows)
        runtime, judging = await self._judging(cache, generation)

        async def judge(sample: Sample) -> Verdict:
            return (await judging.judge(sample))[0]

        judged = map_ordered(judge, samples, window or judging.window)
        try:
            async with aclosing(judged):
                async for verdict in judged:
                    yield verdict
        finally:
            await runtime.flush()

    def samples(self, rows: Iterable[Row]) -> list[Sample]:
        """Take the samples from rows.

        Raises:
            InputError: a row is malformed; the message names its number, from 0.
        """
        return list(self._samples(None).of(rows))

    def render(self, row: Row) -> list[Request]:
        """Return what would be asked about a row, without asking."""
        samples = self.samples([row])
        found: list[Request] = []
        for config, engine in zip(self._configs, self._engines, strict=True):
            task = run_sync(bind(config, engine))
            for sample in samples:
                found += task.requests(sample) or [task.render(sample)]
        return found

    def close(self) -> None:
        """Write what is not written yet and free the engine; a judge may be used again after it.

        What another thread's event loop uses is freed as soon as that loop runs.
        """
        run_sync(self.aclose())

    async def aclose(self) -> None:
        """Write what is not written yet and free the engine; see `close`."""
        await self._runtimes.close()

    @property
    def _configs(self) -> tuple[JudgeConfig, ...]:
        """The configuration of the judge, or of each member."""
        if self.panel is None:
            return (self.config,)
        return tuple(member.judge for member in self.panel.members)

    def _samples(self, on_reject: OnReject | None) -> "_Samples":
        return _Samples(self._task_type, on_reject)

    def _sample_of(self, row: Row) -> Sample | InputError:
        """Return the one sample of a row, or why there is none."""
        try:
            samples = self._samples(None).take(row)
        except InputError as error:
            return error
        if len(samples) != 1:
            return InputError(f"the row holds {len(samples)} samples, where a row has one verdict")
        return samples[0]

    @contextmanager
    def _telling(
        self, progress: bool | Callable[[Verdict], None], rows: object, work: Work
    ) -> Generator[Callable[[Verdict], Verdict]]:
        """Show progress; yield what is called with each verdict, and returns it."""
        total = len(rows) if isinstance(rows, Sized) else None
        label = f"judge {self.config.kind}"
        with Progress(label, total_rows=total, enabled=progress is True) as bar:
            bar.watch(work)

            def tell(verdict: Verdict) -> Verdict:
                bar.advance(verdict.status, verdict.usage)
                if callable(progress):
                    progress(verdict)
                return verdict

            yield tell

    async def _judging(
        self, cache: bool | None, generation: Mapping[str, Any]
    ) -> tuple[Runtime, JudgeSession | Jury | Cascade]:
        runtime = self._runtimes.here()
        panel = panel_with_options(self.panel, generation, self._engines)
        config = self.config if panel else with_options(self.config, generation, self.engine)
        return runtime, await runtime.judging(config, panel, cache is not False)


class _Samples:
    """Takes the samples from rows, one row after another."""

    def __init__(self, task_type: type[BaseJudge], on_reject: OnReject | None) -> None:
        self._task_type = task_type
        self._on_reject = on_reject
        self._number = itertools.count()
        self._index = 0

    def of(self, rows: Iterable[Row]) -> Iterator[Sample]:
        if isinstance(rows, AsyncIterable):
            raise UsageError("rows of an async iterable need astream or ajudge_batch")
        return itertools.chain.from_iterable(map(self._next, rows))

    def of_any(
        self, rows: Iterable[Row] | AsyncIterable[Row]
    ) -> Iterator[Sample] | AsyncIterable[Sample]:
        return self._of_async(rows) if isinstance(rows, AsyncIterable) else self.of(rows)

    async def _of_async(self, rows: AsyncIterable[Row]) -> AsyncGenerator[Sample]:
        async for row in rows:
            for sample in self._next(row):
                yield sample

    def _next(self, row: Row) -> list[Sample]:
        """Take the samples of the next row; an error names its number."""
        number = next(self._number)
        try:
            samples = self.take(row)
        except InputError as error:
            named = InputError(f"row {number}: {error}")
            if self._on_reject is None:
                raise named from None
            self._on_reject(number, named)
            return []
        self._index += len(samples)
        return samples

    def take(self, row: Row) -> list[Sample]:
        """Take the samples of one row."""
        if isinstance(row, Sample):
            return [msgspec.structs.replace(plain_sample(row), index=self._index)]
        if not isinstance(cast(Any, row), Mapping):
            raise InputError(f"not a dict, but of type {type(row).__name__}")
        return self._task_type.read_row(plain_row(row), self._index)


def _check_window(window: int | None) -> None:
    if window is not None:
        check_number("window", window, _WINDOWS)


def _made_of(config: JudgeConfig) -> str:
    """Return what, beside a judge's configuration, decides its verdicts: version and files."""
    choices = (
        config.template,
        config.shot_template,
        config.feedback_template,
        config.pool,
        config.calibration,
    )
    paths = [p for c in choices for p in (c.values() if isinstance(c, dict) else (c,))]
    digests = [
        hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
        for path in paths
        if path is not None and os.path.isfile(path)
    ]
    return " ".join(["plaudit", version("plaudit"), *digests])


def with_options(config: JudgeConfig, given: Mapping[str, Any], engine: Engine) -> JudgeConfig:
    """Return the configuration with the options of one call."""
    if not given:
        return config
    own = call_fields(given, engine)
    fields = {name: getattr(config, name) for name in config.__struct_fields__ if name != "kind"}
    own["generation"] = {**config.generation, **own.get("generation", {})}
    return make_config(config.kind, fields | replace_shots(fields, own))


def panel_with_options(
    panel: PanelConfig | None, given: Mapping[str, Any], engines: Sequence[Engine]
) -> PanelConfig | None:
    """Return the panel with the options of one call in each member."""
    if panel is None or not given:
        return panel
    replace = msgspec.structs.replace
    members: list[Member] = []
    for member, engine in zip(panel.members, engines, strict=True):
        with named(member.name):
            members.append(replace(member, judge=with_options(member.judge, given, engine)))
    return replace(panel, members=tuple(members))
