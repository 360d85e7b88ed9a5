"""Who judged, as it stands in results: enough to say it again, and no secret."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from plaudit.bench.results import JudgeCard
from plaudit.engines.base import Engine
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig, options_that_differ
from plaudit.judges.panel import JuryConfig, PanelJudge
from plaudit.judges.prompt import digest_of
from plaudit.judges.shots import POOL_SHOTS
from plaudit.types import Json

_DIGITS = 12
"""Of a digest, as in the name of a judge."""
_SHOT_OPTIONS = frozenset({"shots", "pool", "select"})
"""Fields that `JudgeCard.shots` describes."""


def card_of(
    task: BaseJudge | PanelJudge, engine: Engine | Sequence[Engine], name: str = ""
) -> JudgeCard:
    """Return the card of a judge or a panel that is bound to its engines.

    Args:
        task: the judge, as `plaudit.judges.load.bind` or `bind_panel` returns it.
        engine: its engine; for a panel, one a member. Their URIs hold no secret.
        name: short and unique within the results; empty: the engine's URI, or the panel's form.
    """
    if isinstance(task, PanelJudge):
        engines, tasks = cast("Sequence[Engine]", engine), task.tasks
    else:
        engines, tasks = [cast("Engine", engine)], [task]
    common = {
        "kind": task.kind,
        "fingerprint": task.fingerprint,
        "engine": _joined([one.uri for one in engines]),
        "model": _joined([one.identity for one in tasks]),
        "readout": task.readout,
        "template": _joined([_template(one) for one in tasks]),
        "shots": _joined([_shots(one) for one in tasks]),
    }
    if isinstance(task, PanelJudge):
        return JudgeCard(name=name or task.form, options=_panel_options(task), **common)
    return JudgeCard(name=name or engine_name(engines[0]), options=_options(task.config), **common)


def engine_name(engine: Engine) -> str:
    """Return what a judge is called after its engine."""
    return "no model" if engine.uri == "none:" else engine.uri


def _joined(texts: Sequence[str]) -> str:
    """Join what members have; what is the same stands once."""
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _template(task: BaseJudge) -> str:
    template = task.prompt.template
    if not template.source:
        return ""
    return f"{Path(template.name).name} {digest_of(template.source)[:_DIGITS]}"


def _shots(task: BaseJudge) -> str:
    """Return how many shots, from where, selected how; empty: none."""
    config, found = task.config, task.prompt.shots
    if found.text:
        return "ready texts that were given"
    if not found.shots:
        return ""
    if found.fixed is not None and config.pool is None and not isinstance(config.shots, int):
        return f"{len(found.fixed)} {'given' if config.shots else 'built in'}"
    count = len(found.fixed) if found.fixed is not None else config.shots or POOL_SHOTS
    pool = "the shipped pool" if config.pool is None else Path(config.pool).name
    return f"{count} from {pool}, {config.select}"


def _options(config: JudgeConfig) -> dict[str, Json]:
    """Return the fields that differ from the defaults, without those of the shots."""
    names = options_that_differ(config, JudgeConfig(kind=config.kind))
    values: dict[str, Any] = {n: getattr(config, n) for n in names if n not in _SHOT_OPTIONS}
    return msgspec.to_builtins(values)


def _panel_options(task: PanelJudge) -> dict[str, Json]:
    config = task.config
    found: dict[str, Json] = {"panel": task.form}
    if isinstance(config, JuryConfig):
        found |= {"combine": config.combine, "quorum": config.quorum}
    members = zip(config.members, task.tasks, strict=True)
    found["members"] = [
        {"name": member.name, "judge": one.judge_name, **_options(member.judge)}
        for member, one in members
    ]
    return found
