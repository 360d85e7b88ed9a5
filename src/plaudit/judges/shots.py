"""Shots of a judge: pool entries checked, and the set from which every sample gets its own.

An entry is an input row of its judge with `feedback`, the reply that a perfect judge would give, or
with the bare `label`. Shots that the leakage guard takes from a sample are counted.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from plaudit.errors import InputError, ReplyError, UsageError
from plaudit.judges.kind import JudgeKind, folder_of
from plaudit.judges.rows import plain_row
from plaudit.prompts.selection import Lookalikes, Nearest, balanced, seeded
from plaudit.prompts.shots import PoolRow, load_shots, parse_pool, read_pool, shipped_pool
from plaudit.types import Json, Sample

Select = Literal["fixed", "random", "similar"]
Shots = int | str | list[dict[str, Json] | str] | None
"""How many are drawn from a pool; or rows, or ready texts, which are used as they are."""

POOL_SHOTS = 3
"""Shots that are drawn from a pool where no number is given."""


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """One checked entry of a pool."""

    where: str
    """For a person: `file.jsonl:12`."""
    row: dict[str, Json]
    sample: Sample
    label: str
    feedback: Mapping[str, Json] | None
    """The reply that the json readout shows; None where there is but a label."""
    text: str
    """What the sample says; for a pair the same in both orders."""


# Reading and checking


def read_shots(judge: JudgeKind, rows: Iterable[PoolRow]) -> tuple[list[Shot], list[str]]:
    """Check the entries of a pool.

    Returns:
        The good ones, and what is wrong with the others, each with its file and line.
    """
    shots: list[Shot] = []
    problems: list[str] = []
    seen: dict[str, str] = {}
    for entry in rows:
        try:
            shot = _read(judge, entry)
        except InputError as error:
            problems.append(f"{entry.where}: {error}")
            continue
        content = " ".join(msgspec.json.encode(_content(shot.row)).decode().casefold().split())
        if content in seen:
            problems.append(f"{entry.where}: the same sample as {seen[content]}; leave one out")
            continue
        seen[content] = entry.where
        shots.append(shot)
    return shots, problems


def _content(row: Mapping[str, Json]) -> list[tuple[str, Json]]:
    left_out = ("id", "label", "feedback")
    return sorted((k, v) for k, v in row.items() if k not in left_out)


def _read(judge: JudgeKind, entry: PoolRow) -> Shot:
    if entry.error:
        raise InputError(entry.error)
    samples = judge.read_row(entry.row, 0)
    if len(samples) != 1:
        raise InputError(f"holds {len(samples)} samples; a shot is one")
    feedback = entry.row.get("feedback")
    label = entry.row.get("label")
    if feedback is None and label is None:
        raise InputError("the field 'feedback' is missing, and so is 'label'")
    if feedback is not None:
        stated = _label(judge, feedback)
        if label is not None and str(label) != stated:
            raise InputError(f"'label' is {str(label)!r}, but 'feedback' says {stated!r}")
        label = stated
    label = str(label)
    if label not in judge.labels:
        raise InputError(f"the label {label!r} is unknown; there are {', '.join(judge.labels)}")
    return Shot(
        where=entry.where,
        row=entry.row,
        sample=samples[0],
        label=label,
        feedback=judge.feedback_of(label) if feedback is None else feedback,
        text=judge.text_of(samples[0]),
    )


def _label(judge: JudgeKind, feedback: Any) -> str:
    if not isinstance(feedback, dict):
        raise InputError("'feedback' must be an object, as the judge's json readout gives it")
    reply, known = cast("dict[str, Any]", feedback), judge.reply_schema()["properties"]
    unknown = sorted(reply.keys() - known.keys())
    if unknown:
        raise InputError(f"'feedback' has no field {unknown[0]!r}; it has {', '.join(known)}")
    try:
        judge.read_reply(reply)
    except ReplyError as error:
        raise InputError(f"'feedback': {error}") from None
    return judge.label_of(reply)


def open_pool(judge: JudgeKind, path: str | None) -> list[Shot]:
    """Return the shots of a pool file, or of the judge's own pool.

    Raises:
        InputError: an entry cannot be used, or all have one label; names file and line.
    """
    rows = own_pool(judge) if path is None else read_pool(path)
    return check_pool(judge, rows, path or "the shipped pool")


def own_pool(judge: JudgeKind | type[JudgeKind]) -> list[PoolRow]:
    """Return the entries of a judge's own pool: that of its class, else the shipped one.

    Raises:
        InputError: the file that the class names cannot be read.
    """
    given, name = judge.pool, f"{judge.kind}.pool"
    if given is None:
        return shipped_pool(judge.kind)
    if isinstance(given, Path):
        return read_pool(str(folder_of(judge if isinstance(judge, type) else type(judge)) / given))
    if isinstance(given, str):
        return parse_pool(given, name)
    return [PoolRow(f"{name}:{n}", dict(row)) for n, row in enumerate(given, 1)]


def check_pool(judge: JudgeKind, rows: Sequence[PoolRow], name: str) -> list[Shot]:
    """Return the shots of a pool's rows; see `open_pool`."""
    fitting = [row for row in rows if row.error or judge.takes_shot(row.row)]
    if rows and not fitting:
        raise InputError(
            f"no shot of {name} has a score for every criterion: give a pool whose 'feedback' has "
            "'scores', or leave the shots out"
        )
    shots, problems = read_shots(judge, fitting)
    if problems:
        more = f" (and {len(problems) - 1} more: plaudit shots check)" if problems[1:] else ""
        raise InputError(f"{problems[0]}{more}")
    if not shots:
        raise InputError(f"{name} is empty: it has no shots")
    labels = {shot.label for shot in shots}
    if len(labels) == 1:
        raise InputError(
            f"every shot of {name} has the label {min(labels)!r}, so no balanced shots can be "
            f"drawn from it; the {judge.kind} judge has {', '.join(judge.labels)}"
        )
    return shots


# Choosing


class ShotSet:
    """The shots of a run, and which of them a sample gets.

    Attributes:
        shots: all that may be used.
        fixed: the places of the shots that every sample gets, but one that is nearly one of them;
            None where each sample has its own.
        alike: finds which of those shots, or of the pool, are nearly a text.
        text: ready text in place of shots.
        digest: of all that decides what a sample gets.
        withheld: shots that samples did not get because they are nearly the sample.
        spared: samples from which some were withheld.
    """

    def __init__(
        self,
        shots: Sequence[Shot],
        count: int,
        digest: str,
        *,
        select: Select | None = None,
        seed: int = 0,
        text: str = "",
    ) -> None:
        """Prepare the choice.

        Args:
            shots: the pool.
            count: how many a sample gets, as far as there are as many.
            digest: see above.
            select: how they are chosen, balanced; None: the first ones, the same for all.
            seed: of the choice.
            text: see above.
        """
        self.shots = shots
        self.text = text
        self.digest = digest
        self.withheld = self.spared = 0
        self._count = count
        self._select = select
        self._seed = seed
        self._labels = [shot.label if select else "" for shot in shots]
        texts = [shot.text for shot in shots]
        self._ranking = self._fixed_ranking()
        self.fixed = self._take(self._ranking) if select in (None, "fixed") else None
        self._nearest = Nearest(texts) if select == "similar" else None
        self._all = Lookalikes(texts)
        used = None if self.fixed is None else [texts[place] for place in self.fixed]
        self.alike = (self._all if used is None else Lookalikes(used)).find
        self._last: tuple[str, tuple[int, ...]] | None = None

    @property
    def notes(self) -> list[str]:
        """What the user should know of how the shots were chosen."""
        found: list[str] = []
        if self._select and len(self.shots) < self._count:
            found.append(
                f"the pool has {len(self.shots)} shots, fewer than the {self._count} asked for: "
                "all are used"
            )
        if self.withheld:
            found.append(
                f"{_count(self.withheld, 'shot')} withheld from {_count(self.spared, 'sample')}: "
                "it would have shown the judge the sample itself, or nearly so"
            )
        return found

    def choose(self, text: str, *, count: bool = False) -> tuple[int, ...]:
        """Return the places of the shots for a sample, in the order in which they are shown.

        Args:
            text: what the sample says.
            count: whether what is withheld is counted.
        """
        near = self.alike(text)
        if self.fixed is not None and not near:
            return self.fixed
        if count and near:
            self.withheld += len(near)
            self.spared += 1
        if self._last is not None and self._last[0] == text:  # a pair's other order
            return self._last[1]
        near = self._all.find(text)
        chosen = self._take(p for p in self._rank(text, len(near)) if p not in near)
        self._last = (text, chosen)
        return chosen

    def _rank(self, text: str, more: int) -> list[int]:
        if self._nearest is not None:
            return self._nearest.ranking(text)
        if self.fixed is not None:
            return self._ranking
        return seeded(f"{self._seed}\n{text}", self._labels, self._count + more)

    def _fixed_ranking(self) -> list[int]:
        if self._select is None:
            return list(range(len(self.shots)))
        return seeded(str(self._seed), self._labels, len(self.shots))

    def _take(self, ranking: Iterable[int]) -> tuple[int, ...]:
        return balanced(ranking, self._labels, self._count)


def replace_shots(config: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a call sets, and what it takes back of a judge's choice of shots.

    Shots that a call gives stand in place of the judge's pool and selection; a pool or a selection
    of a call stands in place of shots that were given to the judge.
    """
    if _is_given(call.get("shots")):
        return {"pool": None, "select": "fixed", **call}
    if call.keys() & {"pool", "select"} and _is_given(config.get("shots")):
        return {"shots": None, **call}
    return dict(call)


def _is_given(shots: Any) -> bool:
    return shots is not None and not isinstance(shots, int)


def choose_shots(
    judge: JudgeKind,
    shots: Shots,
    pool: str | None,
    select: Select,
    seed: int,
) -> ShotSet:
    """Return the shots that a configuration asks for.

    Args:
        judge: reads them.
        shots: see `Shots`; None: the built-in ones, unless a pool or a selection is asked for.
        pool: path of a pool file; None: the judge's own pool.
        select: how shots are drawn from the pool.
        seed: of what is drawn.

    Raises:
        InputError: the pool cannot be used.
        UsageError: what is asked for does not go together.
        MissingDependencyError: `similar` without bm25s.
    """
    if _is_given(shots) and (pool is not None or select != "fixed"):
        raise UsageError("shots that are given need no pool and no selection; leave them out")
    if isinstance(shots, str | list):
        return _take_given(judge, [shots] if isinstance(shots, str) else shots)
    if shots is not None and shots < 0:
        raise UsageError(f"the number of shots must be 0 or more, not {shots}")
    if shots == 0:
        return ShotSet((), 0, "none")
    if shots is None and pool is None and select == "fixed" and judge.pool is None:
        built_in, digest = load_shots(judge.kind)
        rows = [
            PoolRow(f"{judge.kind}.jsonl:{n}", dict(row))
            for n, row in enumerate(built_in, 1)
            if judge.takes_shot(row)
        ]
        return _as_given(judge, rows, len(rows), digest)
    count = POOL_SHOTS if shots is None else shots
    drawn = open_pool(judge, pool)
    digest = _digest([[shot.row for shot in drawn], count, select, seed])
    return ShotSet(drawn, count, digest, select=select, seed=seed)


def _take_given(judge: JudgeKind, shots: Sequence[dict[str, Json] | str]) -> ShotSet:
    """Return shots that are given, all as ready texts or all as rows."""
    given = plain_row({f"shot {n}": shot for n, shot in enumerate(shots)})
    texts = [shot for shot in given.values() if isinstance(shot, str)]
    if texts and len(texts) < len(given):
        raise UsageError("shots are rows or ready texts, not some of each")
    if texts:
        text = "\n\n".join(texts)
        return ShotSet((), 0, _digest(text), text=text)
    rows = [PoolRow(where, row) for where, row in given.items()]
    return _as_given(judge, rows, len(rows), _digest(list(given.values())))


def _as_given(judge: JudgeKind, rows: Sequence[PoolRow], count: int, digest: str) -> ShotSet:
    found, problems = read_shots(judge, rows)
    if problems:
        raise InputError(problems[0])
    return ShotSet(found[:count], count, digest)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _digest(data: Json) -> str:
    return hashlib.blake2b(
        msgspec.json.encode(data, order="deterministic"), digest_size=16
    ).hexdigest()
