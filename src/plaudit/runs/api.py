"""The Python API: a judge that takes plain dicts and gives verdicts, sync and async."""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from plaudit.aio import for_each, run_sync
from plaudit.engines.base import Engine, Request
from plaudit.engines.load import load_engine
from plaudit.engines.pool import Pool, SendPolicy
from plaudit.errors import InputError, UsageError
from plaudit.judges.base import JudgeConfig, Task
from plaudit.judges.load import bind, task_type
from plaudit.runs.asking import Asker, CachePolicy
from plaudit.runs.judging import Judging
from plaudit.runs.progress import Progress
from plaudit.runs.store import Store, default_store_path
from plaudit.types import Json, Sample, Verdict

Row = Mapping[str, Json] | Sample
"""What is judged: a plain dict in the form of an input row, or a sample."""

_GENERATION = frozenset({"temperature", "top_p", "max_tokens", "seed"})


class Judge:
    """Judges rows with an engine.

    ::

        judge = Judge("feedback")
        verdict = judge.judge({"query": "2+2?", "answer": "5", "follow_up": "No, it is 4."})
        verdict.value, verdict.reward, verdict.confidence

    A judge is cheap to make: no engine is loaded before the first row that is not in the store. It
    pickles and survives a fork, so it works in `datasets.map(num_proc=4)`. The sync methods also
    work inside a running event loop.
    """

    def __init__(
        self,
        kind: str = "feedback",
        *,
        engine: str | Engine = "local",
        cache: bool | str | Path = True,
        send: SendPolicy | None = None,
        **config: Any,
    ) -> None:
        """Configure a judge.

        Args:
            kind: `feedback`, `pointwise`, `pairwise` or `verify`.
            engine: an engine URI or an engine.
            cache: whether replies are kept in the store, or the path of another store.
            send: concurrency, time-out and retries.
            config: fields of `JudgeConfig`, such as `readout="json"` or `gate=0.8`.

        Raises:
            UsageError: there is no such judge, engine or option.
        """
        self._task_type = task_type(kind)
        self.config = make_config(kind, config)
        self.engine = load_engine(engine)
        self.send = send or SendPolicy()
        self._cache = cache
        self._runtimes: dict[tuple[int, asyncio.AbstractEventLoop], _Runtime] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return self.__dict__ | {"_runtimes": {}}

    def judge(self, row: Row, *, cache: bool | None = None, **generation: Any) -> Verdict:
        """Judge one row that holds one sample.

        Args:
            row: a dict in the form of an input row, or a sample.
            cache: False: neither read nor write stored replies for this call.
            generation: `temperature`, `top_p`, `max_tokens`, `seed`, and any parameter that the
                engine knows.

        Raises:
            InputError: the row is malformed, or holds several samples.
            EngineUnusableError: the engine can answer nothing.
        """
        return run_sync(self.ajudge(row, cache=cache, **generation))

    def judge_batch(
        self,
        rows: Iterable[Row],
        *,
        progress: bool | Callable[[Verdict], None] = False,
        cache: bool | None = None,
        **generation: Any,
    ) -> list[Verdict]:
        """Judge many rows; the verdicts come in the order of their samples.

        Args:
            rows: dicts in the form of input rows, or samples. A conversation may hold several.
            progress: True shows a progress bar; a function is called with each verdict.
            cache: see `judge`.
            generation: see `judge`.

        Raises:
            InputError: a row is malformed; nothing has been asked then.
            EngineUnusableError: the engine can answer nothing.
        """
        return run_sync(self.ajudge_batch(rows, progress=progress, cache=cache, **generation))

    async def ajudge(self, row: Row, *, cache: bool | None = None, **generation: Any) -> Verdict:
        """Judge one row; see `judge`."""
        samples = self.samples([row])
        if len(samples) != 1:
            raise InputError(f"the row holds {len(samples)} samples; use judge_batch")
        judging = await self._judging(cache, generation)
        return (await judging.judge(samples[0]))[0]

    async def ajudge_batch(
        self,
        rows: Iterable[Row],
        *,
        progress: bool | Callable[[Verdict], None] = False,
        cache: bool | None = None,
        **generation: Any,
    ) -> list[Verdict]:
        """Judge many rows; see `judge_batch`."""
        samples = self.samples(rows)
        judging = await self._judging(cache, generation)
        verdicts: list[Verdict | None] = [None] * len(samples)
        with Progress(
            f"judge {self.config.kind}", total_rows=len(samples), enabled=progress is True
        ) as bar:

            async def judge(numbered: tuple[int, Sample]) -> None:
                number, sample = numbered
                verdict, _ = await judging.judge(sample)
                verdicts[number] = verdict
                bar.advance(verdict.status, verdict.usage)
                if callable(progress):
                    progress(verdict)

            await for_each(judge, enumerate(samples), 2 * self.send.concurrency)
        return cast("list[Verdict]", verdicts)

    def samples(self, rows: Iterable[Row]) -> list[Sample]:
        """Take the samples from rows.

        Raises:
            InputError: a row is malformed; the message names its number, from 0.
        """
        found: list[Sample] = []
        for number, row in enumerate(rows):
            if isinstance(row, Sample):
                found.append(msgspec.structs.replace(row, index=len(found)))
                continue
            if not isinstance(cast(Any, row), Mapping):
                raise InputError(f"row {number} is a {type(row).__name__}, not a dict")
            try:
                found.extend(self._task_type.read_row(row, len(found)))
            except InputError as error:
                raise InputError(f"row {number}: {error}") from None
        return found

    def render(self, row: Row) -> list[Request]:
        """Return what would be asked about a row, without asking."""
        task = run_sync(bind(self.config, self.engine))
        return [task.render(sample) for sample in self.samples([row])]

    def close(self) -> None:
        """Write what is not written yet and free the engine."""
        run_sync(self.aclose())

    async def aclose(self) -> None:
        """Write what is not written yet and free the engine; see `close`."""
        runtime = self._runtimes.pop((os.getpid(), asyncio.get_running_loop()), None)
        if runtime is not None:
            await runtime.close()

    async def _judging(self, cache: bool | None, generation: Mapping[str, Any]) -> "Judging":
        place = (os.getpid(), asyncio.get_running_loop())
        runtime = self._runtimes.get(place)
        if runtime is None:
            runtime = self._runtimes[place] = _Runtime(self.engine, self.send, self._cache)
        return await runtime.judging(with_generation(self.config, generation), cache)


class _Runtime:
    """What a judge holds in one process and event loop."""

    def __init__(self, engine: Engine, send: SendPolicy, cache: bool | str | Path) -> None:
        self._pool = Pool(engine, send)
        self._store: Store | None = None
        if cache is not False and engine.capabilities.cacheable:
            self._store = Store(default_store_path() if cache is True else Path(cache))
        self._judgings: dict[tuple[bytes, bool], Judging] = {}

    async def judging(self, config: JudgeConfig, cache: bool | None) -> Judging:
        keep = self._store is not None and cache is not False
        place = (msgspec.json.encode(config), keep)
        if place not in self._judgings:
            task: Task = await bind(config, self._pool.engine)
            store = self._store if keep else None
            asker = Asker(self._pool, task.identity, store, CachePolicy())
            self._judgings.setdefault(place, Judging(task, asker))
        return self._judgings[place]

    async def close(self) -> None:
        for judging in self._judgings.values():
            await judging.asker.close()
        await self._pool.engine.close()
        if self._store is not None:
            self._store.close()


def make_config(kind: str, fields: Mapping[str, Any]) -> JudgeConfig:
    """Check a judge's configuration.

    Raises:
        UsageError: a field is unknown or of the wrong type.
    """
    unknown = sorted(fields.keys() - set(JudgeConfig.__struct_fields__))
    if unknown:
        known = ", ".join(JudgeConfig.__struct_fields__)
        raise UsageError(f"a judge has no option {unknown[0]!r}; it has {known}")
    try:
        return msgspec.convert({"kind": kind, **fields}, JudgeConfig)
    except msgspec.ValidationError as error:
        raise UsageError(f"judge options: {error}") from None


def with_generation(config: JudgeConfig, generation: Mapping[str, Any]) -> JudgeConfig:
    """Return the configuration with generation parameters of one call."""
    if not generation:
        return config
    own = {name: value for name, value in generation.items() if name in _GENERATION}
    extra = {name: value for name, value in generation.items() if name not in _GENERATION}
    fields = {name: getattr(config, name) for name in config.__struct_fields__ if name != "kind"}
    fields |= own | {"generation": {**config.generation, **extra}}
    return make_config(config.kind, fields)
