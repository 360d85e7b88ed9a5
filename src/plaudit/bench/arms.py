"""The arms of a bench: each a judge with its engine, named after what sets it apart."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from plaudit.bench.card import engine_name
from plaudit.engines.base import Engine
from plaudit.errors import UsageError
from plaudit.judges.config import JudgeConfig
from plaudit.judges.panel import JuryConfig, PanelConfig

LoadPanel = Callable[[JudgeConfig], tuple[PanelConfig, Sequence[Engine]]]
"""Reads a jury or a cascade, given what holds for members that do not say otherwise."""


class Arm(NamedTuple):
    """One judge on its way to be measured."""

    name: str
    """Unique in its bench."""
    config: JudgeConfig
    uri: str
    """Of the engine; of a panel, of members that name none."""
    engine: Engine | Sequence[Engine]
    """For a panel, one a member."""
    panel: PanelConfig | None = None


class Sweep(NamedTuple):
    """What is varied; each combination is an arm. Empty: not varied."""

    shots: Sequence[int] = ()
    votes: Sequence[int] = ()

    def configs(self, config: JudgeConfig) -> Iterator[tuple[list[str], JudgeConfig]]:
        """Yield each configuration with the words that set it apart.

        Several numbers of votes are compared by the plurality of all votes. One vote is one
        judgement.
        """
        for shots in self.shots or (None,):
            for votes in self.votes or (None,):
                made, words = config, list[str]()
                if shots is not None:
                    made = replace(made, shots=shots)
                    words += [_count(shots, "shot")] if self.shots[1:] else []
                if votes is not None:
                    every = (made.all_votes or len(self.votes) > 1) and votes > 1
                    made = replace(made, votes=votes, all_votes=every)
                    words += [_count(votes, "vote")] if self.votes[1:] else []
                yield words, made


def arms_of_engines(
    config: JudgeConfig, uris: Sequence[str], load: Callable[[str], Engine], sweep: Sweep
) -> list[Arm]:
    """Return an arm for each engine and each configuration of a sweep.

    Each arm has an engine of its own, since a run closes its engine.

    Raises:
        UsageError: an engine is named twice, or a number is given twice.
    """
    _refuse_twice(uris, sweep)
    arms: list[Arm] = []
    for uri in uris:
        for words, made in sweep.configs(config):
            engine = load(uri)
            arms.append(Arm(", ".join([engine_name(engine), *words]), made, uri, engine))
    return arms


def arms_of_panel(config: JudgeConfig, uri: str, load: LoadPanel, sweep: Sweep) -> list[Arm]:
    """Return an arm of a jury or a cascade for each configuration of a sweep.

    Raises:
        UsageError: a number is given twice, or the panel cannot be read.
    """
    _refuse_twice([uri], sweep)
    arms: list[Arm] = []
    for words, made in sweep.configs(config):
        panel, engines = load(made)
        form = "jury" if isinstance(panel, JuryConfig) else "cascade"
        arms.append(Arm(", ".join([form, *words]), made, uri, engines, panel))
    return arms


def _refuse_twice(uris: Sequence[str], sweep: Sweep) -> None:
    for name, values in (("-e", uris), ("--shots", sweep.shots), ("--votes", sweep.votes)):
        twice = next((value for value in values if list(values).count(value) > 1), None)
        if twice is not None:
            raise UsageError(f"{name} {twice} is given twice: each arm must be another judge")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
