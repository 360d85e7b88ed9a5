"""The Python API: a judge that takes plain dicts and gives verdicts, sync and async."""

import weakref
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
    Sized,
)
from contextlib import aclosing
from pathlib import Path
from typing import Any

from plaudit._util.aio import map_ordered, map_ordered_sync
from plaudit._util.closing import Closing
from plaudit._util.loops import background_loop, run_last, run_sync
from plaudit._util.ranges import Range, check_number
from plaudit.engines.base import Engine, Request
from plaudit.engines.load import load_engine
from plaudit.errors import InputError, UsageError
from plaudit.io import tables
from plaudit.io.progress import Progress
from plaudit.judges.base import BaseJudge
from plaudit.judges.load import bind, judge_fields, make_config, register, task_type
from plaudit.judges.panel import PanelConfig, Spec, read_cascade, read_jury
from plaudit.runs.block import AnySession, judge_rows
from plaudit.runs.judging import Judged, JudgeSession
from plaudit.runs.runtime import (
    Runtime,
    Runtimes,
    configs_of,
    load_early,
    made_of,
    panel_with_options,
    with_options,
)
from plaudit.runs.samples import OnReject, Row, Samples
from plaudit.sending.pool import SendPolicy
from plaudit.types import Json, Sample, Verdict, Verdicts

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
        load_early(configs_of(self.config, self.panel))
        self._begin()

    def _begin(self) -> None:
        """Hold what belongs to this process until the judge is collected."""
        self.runtimes = Runtimes(self._engines, self.send, self._cache)
        weakref.finalize(self, self.runtimes.drop).atexit = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process; add what the prompts are made of.

        `datasets` hashes this to find a map that was done before. So the state is the same in every
        process. It changes with plaudit, the templates, the pool and the calibration.
        """
        of = [made_of(config) for config in configs_of(self.config, self.panel)]
        return self.__dict__ | {"runtimes": None, "_made_of": of}

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
        verdicts = Verdicts()
        with _bar(self.config.kind, progress, rows) as bar:
            bar.watch(run_sync(self._session(cache, generation))[1])
            for verdict in self.stream(rows, on_reject=on_reject, cache=cache, **generation):
                bar.advance(verdict.status, verdict.usage)
                if callable(progress):
                    progress(verdict)
                verdicts.append(verdict)
        return verdicts

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
        samples, loop = Samples(self._task_type, on_reject).of(rows), background_loop()
        runtime, session = run_sync(self._session(cache, generation))

        async def judge(sample: Sample) -> Verdict:
            return (await session.judge(sample))[0]

        try:
            yield from map_ordered_sync(judge, samples, window or session.window)
        finally:
            run_last(loop, runtime.flush)

    def map_batch(
        self,
        batch: Mapping[str, Sequence[Json]],
        *,
        prefix: str = "plaudit_",
        cache: bool | None = None,
        **generation: Any,
    ) -> dict[str, tables.Column]:
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
        taken = list(map(Samples(self._task_type).only, tables.rows_of(batch)))
        samples = [sample for sample in taken if isinstance(sample, Sample)]
        verdicts = iter(self.judge_batch(samples, cache=cache, **generation))
        outcomes = [next(verdicts) if isinstance(one, Sample) else one for one in taken]
        return tables.columns_of(outcomes, self.config.kind, prefix)

    async def ajudge(self, row: Row, *, cache: bool | None = None, **generation: Any) -> Verdict:
        """Judge one row; see `judge`."""
        samples = self.samples([row])
        if len(samples) != 1:
            raise InputError(f"the row holds {len(samples)} samples; use judge_batch")
        _, session = await self._session(cache, generation)
        return (await session.judge(samples[0]))[0]

    def judge_now(self, row: Row) -> Verdict | None:
        """Judge one row in a running event loop, where that needs no waiting.

        Returns:
            What `ajudge` would give; None where an engine is asked, the store is looked into,
            formulas are compared, or the judge was not used in this loop before.

        Raises:
            InputError: the row is malformed, or holds several samples.
        """
        session = self.runtimes.here().known(self.config, self.panel)
        if not isinstance(session, JudgeSession):
            return None
        samples = self.samples([row])
        return session.judge_now(samples[0]) if len(samples) == 1 else None

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
        taken = Samples(self._task_type, on_reject)
        ahead = isinstance(rows, Sequence)
        samples = list(taken.of(rows)) if isinstance(rows, Sequence) else taken.of_any(rows)
        runtime, session = await self._session(cache, generation)
        verdicts: dict[int, Verdict] = {}

        def take(judged: Sequence[Judged]) -> None:
            for verdict, _ in judged:
                if callable(progress):
                    progress(verdict)
                verdicts[verdict.index] = verdict

        with _bar(self.config.kind, progress, rows) as bar:
            try:
                await judge_rows(session, samples, take, progress=bar, ahead=ahead)
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
        samples = Samples(self._task_type, on_reject).of_any(rows)
        runtime, session = await self._session(cache, generation)

        async def judge(sample: Sample) -> Verdict:
            return (await session.judge(sample))[0]

        judged = map_ordered(judge, samples, window or session.window)
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
        return list(Samples(self._task_type).of(rows))

    def render(self, row: Row) -> list[Request]:
        """Return what would be asked about a row, without asking."""
        samples = self.samples([row])
        found: list[Request] = []
        for config, engine in zip(configs_of(self.config, self.panel), self._engines, strict=True):
            task = run_sync(bind(config, engine))
            for sample in samples:
                found += task.requests(sample) or [task.render(sample)]
        return found

    @property
    def keeps_replies(self) -> bool:
        """Whether replies of its engines are kept in the store, so that none is asked for twice."""
        return self.runtimes.keeps_replies

    @property
    def sent(self) -> int:
        """Requests sent since the judge was made or closed, retries included."""
        return self.runtimes.sent

    def close(self) -> None:
        """Write what is not written yet and free the engine; a judge may be used again after it.

        What another thread's event loop uses is freed as soon as that loop runs.
        """
        run_sync(self.aclose())

    async def aclose(self) -> None:
        """Write what is not written yet and free the engine; see `close`."""
        await self.runtimes.close()

    async def _session(
        self, cache: bool | None, generation: Mapping[str, Any]
    ) -> tuple[Runtime, AnySession]:
        runtime = self.runtimes.here()
        panel = panel_with_options(self.panel, generation, self._engines)
        config = self.config if panel else with_options(self.config, generation, self.engine)
        return runtime, await runtime.session(config, panel, cache is not False)


def _bar(kind: str, shown: bool | Callable[[Verdict], None], rows: object) -> Progress:
    total = len(rows) if isinstance(rows, Sized) else None
    return Progress(f"judge {kind}", total_rows=total, enabled=shown is True)


def _check_window(window: int | None) -> None:
    if window is not None:
        check_number("window", window, _WINDOWS)
