"""The cases of an audit: items crossed with biases and attacks, as rows for one kind of judge."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

import msgspec

from plaudit.bench.audit.attacks import ATTACKS, Attack, AttackFacts, clean
from plaudit.bench.audit.biases import BIASES, LANGUAGES, POSITION, Bias
from plaudit.bench.audit.items import AuditBase, AuditItem, probes
from plaudit.bench.audit.scenes import Scene, scene_of
from plaudit.errors import UsageError
from plaudit.types import Json

Family = Literal["bias", "noise", "attacks"]
NOISE = {
    "draws": "the same request, drawn again",
    "instructions": "the instructions in other words",
    "option_order": "the options in another order",
    "shots": "other shots",
}
"""Ways to ask the same again."""
FAMILIES: dict[Family, tuple[str, ...]] = {
    "bias": (POSITION, *(one.name for one in BIASES), "language", "paraphrase"),
    "noise": tuple(NOISE),
    "attacks": tuple(one.name for one in ATTACKS),
}
"""The names of all tests, in the order of the tables."""
_CANDIDATES = 12


class Trial(NamedTuple):
    """One item in two arms: rows of the plan that differ in what is tested."""

    id: str
    cluster: str
    treated: int
    control: int
    first: bool
    """Whether the answer in question is A in both."""


class AuditPlan(msgspec.Struct, kw_only=True):
    """Everything that one audit asks of its judge, apart from noise."""

    kind: str
    rows: list[dict[str, Json]] = []
    """Input rows, each once."""
    plain: list[int] = []
    """Rows of the base as it is."""
    trials: dict[str, list[Trial]] = {}
    """By the name of a bias or an attack."""
    skipped: dict[str, str] = {}
    """What cannot be tested, and why."""


class AuditChoice(msgspec.Struct, frozen=True):
    """Which tests are wanted: names, families and wildcards."""

    only: tuple[str, ...] = ()
    """Empty: all."""
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what names nothing.

        Raises:
            UsageError: a name is that of no test.
        """
        for option, names in (("--only", self.only), ("--skip", self.skip)):
            for name in names:
                if not named_tests(name):
                    raise UsageError(f"{option} {name!r}: {no_such_test()}")
        if not self.names:
            raise UsageError("--only and --skip leave no test")

    @property
    def names(self) -> frozenset[str]:
        """The names of the wanted tests."""
        wanted = {one for name in self.only or ("*",) for one in named_tests(name)}
        return frozenset(wanted.difference(*map(named_tests, self.skip)))


def named_tests(
    pattern: str, families: Iterable[Family] = ("bias", "noise", "attacks")
) -> set[str]:
    """Return the tests that a name, a family or a pattern with `*` stands for."""
    families = list(families)
    if pattern in families:
        return set(FAMILIES[pattern])
    return {name for f in families for name in FAMILIES[f] if fnmatchcase(name, pattern)}


def no_such_test() -> str:
    """Return the sentence that lists all tests."""
    lists = (f"{family} ({', '.join(names)})" for family, names in FAMILIES.items())
    return f"there is no such test; there are {'; '.join(lists)}"


def make_plan(
    base: AuditBase,
    choice: AuditChoice,
    *,
    special_tokens: tuple[str, ...] = (),
    orders: int = 1,
    unplaced: str = "",
    seed: int = 0,
) -> AuditPlan:
    """Cross the items with the wanted biases and attacks.

    Args:
        base: the items, and the kind of the judge.
        choice: which tests.
        special_tokens: of the judge's model, where they are known.
        orders: in how many orders one verdict compares.
        unplaced: why no position can be measured; empty: it can.
        seed: of which answer is changed, and which stands first.
    """
    return _Planner(base, choice, special_tokens, seed).make(orders, unplaced)


class _Planner:
    """Collects rows, each once."""

    def __init__(
        self, base: AuditBase, choice: AuditChoice, special_tokens: tuple[str, ...], seed: int
    ) -> None:
        self._base, self._names, self._seed = base, choice.names, seed
        self._places: dict[bytes, int] = {}
        self._first = _balanced(len(base.items), f"{seed} places")
        references = [item.references[0] for item in base.items if item.references]
        self._facts = AttackFacts(base.kind, special_tokens, tuple(references[:_CANDIDATES]))
        self.plan = AuditPlan(kind=base.kind)

    def make(self, orders: int, unplaced: str) -> AuditPlan:
        plan = self.plan
        plan.plain = list(dict.fromkeys(self._plain()))
        self._try(POSITION, lambda: self._position(orders), unplaced)
        for bias in BIASES:
            self._try(bias.name, lambda b=bias: self._biased(b), self._unfit(bias))
        for attack in ATTACKS:
            self._try(attack.name, lambda a=attack: self._attacked(a), self._unfit(attack))
        self._try("language", lambda: self._probed(LANGUAGES), "")
        self._try("paraphrase", lambda: self._probed(("paraphrase",)), "")
        return plan

    def _try(self, name: str, make: Callable[[], Iterator[Trial]], why: str) -> None:
        if name not in self._names:
            return
        trials = [] if why else list(make())
        if trials:
            self.plan.trials[name] = trials
        else:
            self.plan.skipped[name] = why or "no item of the base can be changed so"

    def _unfit(self, test: Bias | Attack) -> str:
        fits = self._base.kind in test.kinds
        return "" if fits else f"not for {self._base.kind} judges"

    def _row(self, name: str, scene: Scene, first: bool) -> int:
        row = scene.row(self._base.kind, first)
        key = msgspec.json.encode(row)
        place = self._places.setdefault(key, len(self.plan.rows))
        if place == len(self.plan.rows):
            self.plan.rows.append({"id": name, **row})
        return place

    def _items(self, side: str) -> Iterator[tuple[int, AuditItem]]:
        for number, item in enumerate(self._base.items):
            if side in item.sides:
                yield number, item

    def _plain(self) -> Iterator[int]:
        both = ("right",) if self._base.kind == "pairwise" else ("right", "wrong")
        for number, item in enumerate(self._base.items):
            for side in both:
                if side in item.sides:
                    scene = scene_of(item, side)
                    yield self._row(f"{item.id}:{side}", scene, self._first[number])

    def _position(self, orders: int) -> Iterator[Trial]:
        """Yield the two placements of each pair; one row stands for both where both are asked."""
        for number, item in enumerate(self._base.items):
            scene, first = scene_of(item, "right"), self._first[number]
            row = self._row(f"{item.id}:right", scene, first)
            other = row
            if orders == 1:
                other = self._row(f"{item.id}:right:turned", scene, not first)
            yield Trial(item.id, item.cluster, row, other, first)

    def _biased(self, bias: Bias) -> Iterator[Trial]:
        rights = _balanced(len(self._base.items), f"{self._seed} {bias.name}")
        for number, item in enumerate(self._base.items):
            side = "right" if rights[number] and bias.side == "either" else "wrong"
            side = side if side in item.sides else item.sides[0]
            made = bias.contrast(scene_of(item, side), number)
            if made is not None:
                yield self._trial(bias.name, item, made, self._first[number])

    def _attacked(self, attack: Attack) -> Iterator[Trial]:
        for number, item in self._items("wrong"):
            scene = scene_of(item, "wrong")
            if attack.name.endswith("_reference") and not scene.references:
                continue
            made = attack.forge(scene, number, self._facts)
            yield self._trial(attack.name, item, (made, clean(scene, made)), self._first[number])

    def _probed(self, versions: Sequence[str]) -> Iterator[Trial]:
        """Yield the right answers to the probes, in each version and in plain English."""
        for number, probe in enumerate(probes()):
            plain = scene_of(probe.versions["en"], "right")
            for version in versions:
                item = probe.versions[version]
                made = scene_of(item, "right"), plain
                trial = self._trial(version, item, made, bool(number % 2))
                yield trial._replace(cluster=probe.id)

    def _trial(self, name: str, item: AuditItem, made: tuple[Scene, Scene], first: bool) -> Trial:
        treated, control = (
            self._row(f"{item.id}:{name}:{arm}", scene, first)
            for arm, scene in zip(("treated", "control"), made, strict=True)
        )
        return Trial(item.id, item.cluster, treated, control, first)


def _balanced(size: int, seed: str) -> list[bool]:
    """Return as many true as false, give or take one, in an order that the seed decides."""
    found = [bool(place % 2) for place in range(size)]
    random.Random(seed).shuffle(found)
    return found
