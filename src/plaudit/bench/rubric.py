"""Rubrics: criteria that a model proposes from labelled pairs, kept where they help.

The pairs are split in three. From the first third a model proposes what the preferred responses had
in common; every proposal then scores the responses of the other two. On the second third criteria
are added one by one as long as they raise agreement with the labels, and the last third, which
nothing was chosen on, says how good the result is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from plaudit._util.aio import for_each
from plaudit.engines.base import Engine, Request, Sampling, Schema, engine_info
from plaudit.engines.load import load_engine
from plaudit.errors import CallError, InputError, ReplyError, UsageError
from plaudit.judge import Judge
from plaudit.judges import json_reply, rows
from plaudit.judges.criteria import Criterion
from plaudit.judges.pairwise import PairwiseJudge
from plaudit.prompts.escape import Escaper
from plaudit.prompts.selection import words
from plaudit.prompts.template import Template, builtin
from plaudit.runs.cached import SampleClient
from plaudit.runs.runtime import Runtimes
from plaudit.scoring import rubric
from plaudit.scoring.rubric import Margin, Side, Step
from plaudit.scoring.stats import Estimate, accuracy, bootstrap
from plaudit.sending.pool import SendPolicy
from plaudit.types import Message, PairSample, ResponseSample

LEAST_PAIRS = 12
"""With fewer, a third of them says nothing."""
OVERALL = Criterion(name="overall", description="how well the response serves the user, all in all")
"""What every rubric starts from, and what the proposals must improve on."""
_MAX_TOKENS = 512
_ALIKE = 0.6
"""Share of the words of two names or descriptions from which they count as the same."""
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "criteria": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": 60},
                    "description": {"type": "string", "maxLength": 300},
                },
                "required": ["name", "description"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["criteria"],
    "additionalProperties": False,
}


class LabelledPair(msgspec.Struct, frozen=True):
    """Two responses, and the one that a person preferred."""

    sample: PairSample
    label: Side


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """How the rubric does on pairs on which nothing was chosen."""

    pairs: int
    overall: Estimate
    """Share that the criterion `overall` alone gets right."""
    rubric: Estimate
    """Share that all criteria together get right."""
    gain: Estimate
    """The second less the first, on the same pairs."""


class Rubric(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned, and from what."""

    criteria: tuple[Criterion, ...]
    steps: list[Step]
    """The criteria in the order in which they were added, with what each added."""
    dropped: list[str]
    """Proposals that raised agreement no further."""
    pairs: int
    ties: int
    """Rows that people found equal, which say nothing here and were left out."""
    asked: int
    """Pairs that the model was asked to propose from."""
    unusable: int
    """Those to which no reply came that holds a criterion."""
    unscored: int
    """Pairs, over all criteria, of which a response could not be scored: counted as not right."""
    unseen: Unseen


def labelled_pairs(
    found: Iterable[tuple[str, Mapping[str, Any]]],
) -> tuple[list[LabelledPair], int]:
    """Read labelled pairs; return them and how many ties were left out.

    Args:
        found: rows in the form of the pairwise judge's input with a `label` of `A`, `B` or `A=B`,
            each with its place for messages.

    Raises:
        InputError: a row is malformed or has another label; the message names its place.
    """
    pairs: list[LabelledPair] = []
    ties = 0
    for index, (where, row) in enumerate(found):
        try:
            (sample,) = PairwiseJudge.read_row(row, index)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        label = row.get("label")
        if label not in ("A", "B", "A=B"):
            raise InputError(f"{where}: the label must be A, B or A=B, not {label!r}")
        if label == "A=B":
            ties += 1
        else:
            pairs.append(LabelledPair(cast("PairSample", sample), label))
    return pairs, ties


async def learn_rubric(
    pairs: Sequence[LabelledPair],
    engine: str | Engine = "local",
    *,
    ties: int = 0,
    proposals: int = 24,
    candidates: int = 12,
    seed: int = 0,
    readout: str = "auto",
    cache: bool | str | Path = True,
    send: SendPolicy | None = None,
    progress: bool = False,
) -> Rubric:
    """Learn criteria from labelled pairs.

    Args:
        pairs: at least `LEAST_PAIRS`, a few dozen to be of use.
        engine: proposes the criteria and scores by them.
        ties: how many rows were left out, for the report.
        proposals: most pairs that the model proposes from.
        candidates: most proposals that are tried, those that were made most often first.
        seed: of the split and of the bootstrap intervals.
        readout: how scores are read.
        cache: as for `Judge`; with a store, learning again costs no call.
        send: concurrency, time-out and retries.
        progress: whether progress is shown.

    Raises:
        UsageError: there are too few pairs, or the model proposes nothing that can be used.
        EngineUnusableError: the engine can answer nothing.
    """
    if len(pairs) < LEAST_PAIRS:
        raise UsageError(
            f"there are {len(pairs)} pairs with a label of A or B; a rubric needs at least "
            f"{LEAST_PAIRS} of them, and a few dozen to be of use"
        )
    engine = load_engine(engine)
    source, choosing, reporting = rubric.split(len(pairs), seed)
    asked = [pairs[i] for i in source[:proposals]]
    proposed, unusable = await _propose(asked, engine, cache, send or SendPolicy())
    tried = [OVERALL, *_merge(proposed, candidates)]
    used = [pairs[i] for i in (*choosing, *reporting)]
    judge = Judge("pointwise", engine=engine, readout=readout, cache=cache, send=send)
    try:
        margins = {c.name: await _margins(judge, c, used, progress) for c in tried}
    finally:
        await judge.aclose()
    labels: list[Side] = [pair.label for pair in used]
    counts = {"pairs": len(pairs), "ties": ties, "asked": len(asked), "unusable": unusable}
    return _chosen(tried, margins, labels, len(choosing), seed, counts)


def _chosen(
    tried: Sequence[Criterion],
    margins: Mapping[str, list[float | None]],
    labels: Sequence[Side],
    cut: int,
    seed: int,
    counts: Mapping[str, int],
) -> Rubric:
    """Choose criteria on the pairs before `cut`, and report on the others."""
    chosen = {name: column[:cut] for name, column in margins.items()}
    steps = rubric.choose(OVERALL.name, chosen, labels[:cut])
    kept = {step.name for step in steps}
    unseen = {name: column[cut:] for name, column in margins.items()}
    return Rubric(
        criteria=tuple(c for step in steps for c in tried if c.name == step.name),
        steps=steps,
        dropped=[c.name for c in tried if c.name not in kept],
        **counts,
        unscored=sum(column.count(None) for column in margins.values()),
        unseen=_report(unseen, labels[cut:], kept, seed),
    )


async def _propose(
    pairs: Sequence[LabelledPair], engine: Engine, cache: bool | str | Path, send: SendPolicy
) -> tuple[list[Criterion], int]:
    """Ask for criteria; return them in the order of the pairs, and how many replies held none."""
    template = Template(builtin("rubric"), "rubric", frozenset({"context", "better", "worse"}))
    special = engine_info(engine).special_tokens
    escape = Escaper(template.delimiters, special).escape
    requests = [_request(template, _shown(pair, escape), engine) for pair in pairs]
    replies: list[list[Criterion]] = [[] for _ in pairs]
    runtimes = Runtimes([engine], send, cache)
    try:
        client = await runtimes.here().client()

        async def ask(numbered: tuple[int, Request]) -> None:
            number, request = numbered
            try:
                reported = SampleClient(client)
                replies[number] = await json_reply.ask_object(request, reported, escape, _read)
            except (CallError, ReplyError) as error:
                errors.append(error)

        errors: list[CallError | ReplyError] = []
        await for_each(ask, enumerate(requests), client.pool.window)
    finally:
        await runtimes.close()
    if not any(replies):
        why = f": {errors[0]}" if errors else ""
        raise UsageError(
            f"the model proposed no criterion that can be used in {len(pairs)} replies{why}. Use a "
            "stronger model with --engine, or write the criteria yourself"
        )
    return [criterion for reply in replies for criterion in reply], replies.count([])


def _shown(pair: LabelledPair, escape: Any) -> dict[str, Any]:
    a, b = pair.sample.conversation_a, pair.sample.conversation_b
    better, worse = (a, b) if pair.label == "A" else (b, a)
    context = [{**m, "text": escape(m["text"])} for m in rows.shown(better[:-1])]
    return {
        "context": context,
        "better": escape(rows.message_text(better[-1])),
        "worse": escape(rows.message_text(worse[-1])),
    }


def _request(template: Template, variables: Mapping[str, Any], engine: Engine) -> Request:
    static, sample = template.instructions(variables), template.sample(variables)
    chat = engine.capabilities.default_mode == "chat"
    prompt = (Message("system", static.strip()), Message("user", sample.strip()))
    return Request(
        prompt=prompt if chat else f"{static}{sample}",
        sampling=Sampling(max_tokens=_MAX_TOKENS),
        schema=Schema("criteria", msgspec.Raw(msgspec.json.encode(_SCHEMA))),
        turn="rubric",
    )


def _read(reply: Mapping[str, Any]) -> list[Criterion]:
    """Return the criteria of a reply that are of the described form."""
    entries: Any = reply.get("criteria")
    found: list[Criterion] = []
    for entry in cast("list[Any]", entries) if isinstance(entries, list) else ():
        try:
            criterion = msgspec.convert(entry, Criterion)
        except msgspec.ValidationError:
            continue
        if criterion.description.strip() and criterion.name.casefold() != OVERALL.name:
            found.append(Criterion(name=criterion.name, description=criterion.description.strip()))
    return found


def _merge(proposed: Sequence[Criterion], most: int) -> list[Criterion]:
    """Put proposals that say the same together; the most frequent first, then the earliest."""
    groups: list[list[Criterion]] = []
    for criterion in proposed:
        for group in groups:
            if _alike(group[0], criterion):
                group.append(criterion)
                break
        else:
            groups.append([criterion])
    return [group[0] for group in sorted(groups, key=len, reverse=True)[:most]]


def _alike(one: Criterion, other: Criterion) -> bool:
    pairs = [(one.name, other.name), (one.description, other.description)]
    return any(_overlap(a, b) >= _ALIKE for a, b in pairs)


def _overlap(one: str, other: str) -> float:
    """Return the share of the words of both that are in both (Jaccard)."""
    a, b = set(words(one)), set(words(other))
    return len(a & b) / max(1, len(a | b))


async def _margins(
    judge: Judge, criterion: Criterion, pairs: Sequence[LabelledPair], progress: bool
) -> list[Margin]:
    """Score the responses of all pairs by one criterion."""
    samples = list(_responses(pairs))
    verdicts = await judge.ajudge_batch(samples, criteria=[criterion], progress=progress)
    scores = [v.fields["expected_score"] if v.status == "ok" else None for v in verdicts]
    return [
        None if a is None or b is None else a - b
        for a, b in zip(scores[::2], scores[1::2], strict=True)
    ]


def _responses(pairs: Sequence[LabelledPair]) -> Iterator[ResponseSample]:
    for pair in pairs:
        for side in (pair.sample.conversation_a, pair.sample.conversation_b):
            yield ResponseSample(
                id=pair.sample.id,
                index=0,
                prompt=side[:-1],
                response=rows.message_text(side[-1]),
                reference=pair.sample.reference,
            )


def _report(
    margins: Mapping[str, Sequence[Margin]], labels: Sequence[Side], kept: set[str], seed: int
) -> Unseen:
    together = rubric.mean_margins([margins[name] for name in margins if name in kept])
    columns = [
        [float(rubric.is_right(m, label)) for m, label in zip(column, labels, strict=True)]
        for column in (margins[OVERALL.name], together)
    ]
    found = bootstrap(_shares, *columns, seed=seed)
    return Unseen(pairs=len(labels), **found)


def _shares(one: Any, both: Any) -> dict[str, float]:
    overall, together = accuracy(one), accuracy(both)
    return {"overall": overall, "rubric": together, "gain": together - overall}
