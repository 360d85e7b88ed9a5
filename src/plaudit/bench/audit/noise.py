"""Asking the same again: other draws, other instructions, other orders, other shots."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from plaudit.bench.audit.wordings import reworded
from plaudit.engines.base import Engine, engine_info
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import VOTE_TEMPERATURE, EngineFacts, JudgeConfig
from plaudit.judges.panel import PanelJudge

DRAWS = 3
"""Times that the same request is drawn."""
SHOT_SEEDS = 2
"""Other draws of shots."""


class Repeat(NamedTuple):
    """One kind of noise, as judges that are asked the same."""

    tasks: list[BaseJudge]
    """Each asks all rows of the base once more."""
    own_reference: bool = False
    """Whether the first of them is what the others are compared with; else it is the judge."""


def repeat_judges(
    task: BaseJudge | PanelJudge, engine: Engine | Sequence[Engine], names: frozenset[str]
) -> tuple[dict[str, Repeat], dict[str, str]]:
    """Return the judges that ask the same again, and why some noise cannot be measured.

    Args:
        task: the judge, in the readout that it has settled on.
        engine: its engine.
        names: of the kinds of noise that are wanted.
    """
    found: dict[str, Repeat] = {}
    skipped: dict[str, str] = {}
    for name, make in _MAKERS.items():
        if name not in names:
            continue
        made = _PANEL if isinstance(task, PanelJudge) else _UNPROMPTED
        if not isinstance(task, PanelJudge) and task.prompted and task.readout != "none":
            assert not isinstance(engine, Sequence)
            made = make(task, engine)
        if isinstance(made, str):
            skipped[name] = made
        else:
            found[name] = made
    return found, skipped


_PANEL = "the members of a panel are audited one by one"
_UNPROMPTED = "this judge has no prompt"


def _draws(task: BaseJudge, engine: Engine) -> Repeat | str:
    if task.readout != "json":
        return f"the {task.readout} readout draws nothing"
    if task.config.votes > 1:
        return "votes are several draws already; audit the judge without them"
    temperature = task.config.temperature or VOTE_TEMPERATURE
    first = task.config.seed or 0
    tasks = [_again(task, engine, temperature=temperature, seed=first + n) for n in range(DRAWS)]
    return Repeat(tasks, own_reference=True)


def _shots(task: BaseJudge, engine: Engine) -> Repeat | str:
    config, shots = task.config, task.prompt.shots
    if isinstance(config.shots, str | list):
        return "the shots were given"
    if not shots.shots:
        return "the judge has no shots"
    count = config.shots
    if count is None:
        count = len(shots.fixed) if shots.fixed else None
    tasks = [
        _again(task, engine, shots=count, seed=(config.seed or 0) + n)
        for n in range(1, SHOT_SEEDS + 1)
    ]
    return Repeat(tasks)


def _option_order(task: BaseJudge, engine: Engine) -> Repeat | str:
    other = _variant(task, engine, options=tuple(reversed(task.options)))
    if _opening(other) == _opening(task):
        return "the prompt lists no options"
    return Repeat([other])


def _instructions(task: BaseJudge, engine: Engine) -> Repeat | str:
    template = task.prompt.template
    text = reworded(template.name, template.source)
    if text is None:
        return "the template is not a shipped one"
    return Repeat([_variant(task, engine, templates=text)])


_MAKERS: Mapping[str, Callable[[BaseJudge, Engine], Repeat | str]] = {
    "draws": _draws,
    "instructions": _instructions,
    "option_order": _option_order,
    "shots": _shots,
}


def _again(task: BaseJudge, engine: Engine, **options: Any) -> BaseJudge:
    """Return the judge with other options, in the readout that it has settled on."""
    return type(task)(_settled(task, **options), _facts(task, engine))


def _variant(task: BaseJudge, engine: Engine, **attributes: Any) -> BaseJudge:
    """Return the judge with other attributes of its class."""
    other = type(type(task).__name__, (type(task),), attributes)
    return other(_settled(task), _facts(task, engine))


def _settled(task: BaseJudge, **options: Any) -> JudgeConfig:
    readout = task.readout if task.readout in ("logprob", "json") else "auto"
    return replace(task.config, readout=readout, calibration=None, **options)


def _facts(task: BaseJudge, engine: Engine) -> EngineFacts:
    info = engine_info(engine)
    return EngineFacts(
        identity=task.identity,
        capabilities=engine.capabilities,
        special_tokens=info.special_tokens,
        reasoning=info.reasoning,
    )


def _opening(task: BaseJudge) -> tuple[object, ...]:
    return task.prompt.main.text, task.prompt.main.messages
