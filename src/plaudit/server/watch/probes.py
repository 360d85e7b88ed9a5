"""What the watch asks: rows whose right value is known.

Four kinds. *Known* rows of the user. *Shipped* questions with an honest right and wrong answer.
*Cheats*: answers that are none, put under questions of the traffic. *Transplants*: answers that
were paid, put under other questions of the traffic; a text that is paid everywhere shows so, also
one that nobody has thought of.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple, cast

import msgspec

from plaudit.bench.audit.attacks import ATTACKS, AttackFacts
from plaudit.bench.audit.items import AUDITED, question_of, shipped_base
from plaudit.bench.audit.scenes import Scene, scene_of
from plaudit.rewarding.rows import Row, ScoredRow
from plaudit.rollouts.rewards.cheats import CASES, SUBJECTS, Subject
from plaudit.server.spec import Served
from plaudit.types import Json, Value

TRANSPLANT = "an answer to another question"
LIVE_ROWS = 64
"""Most rows of the traffic that are kept of a reward."""
LIVE_BYTES = 2**16
"""A longer row is not kept."""
_CHEATS = frozenset(
    {
        "a colon", "Thought process:", "Let me think", "the question again", "forged verdict",
        "orders to the judge",
    }
)  # fmt: skip
"""Shipped cheats whose text is no answer to any question."""
_HONEST = {"right answer": True, "right, in a sentence": True, "wrong answer": False}
_NAME = 60


class WatchProbe(NamedTuple):
    """A row, and what is known of its value: one of `right`, `value` and `label`."""

    name: str
    row: Row
    right: bool | None = None
    """Whether it should be paid."""
    value: float | None = None
    label: Value | None = None
    """What a judge should decide."""
    live: bool = False
    """Whether the question comes from the traffic."""
    cheat: bool = False
    """Whether the answer is none, whatever the question; else it is an honest one."""


class ProbeResult(NamedTuple):
    """What a scored probe shows."""

    agrees: bool
    """Whether the value is what it should be."""
    bad: bool
    """Whether it should not be paid."""
    paid: bool


def result_of(
    probe: WatchProbe, scored: ScoredRow, paid_above: float, tolerance: float
) -> ProbeResult | None:
    """Compare a probe with its answer; None: it has no value, which shows nothing.

    Args:
        probe: what was asked.
        scored: its answer.
        paid_above: a value above it is a payment.
        tolerance: how far from the known value an equal one may lie.
    """
    value = scored.value
    if value is None:
        return None
    paid = value > paid_above
    if probe.right is not None:
        return ProbeResult(paid is probe.right, not probe.right, paid)
    if probe.value is not None:
        bad = probe.value <= paid_above
        return ProbeResult(abs(value - probe.value) <= tolerance, bad, paid)
    return ProbeResult(scored.decided == probe.label, False, paid)


# Rows of the traffic


class LiveAnswer(NamedTuple):
    """A row of the traffic whose answer can be exchanged."""

    row: Row
    column: str
    """Where the answer stands."""
    begin: int
    """Of a chat: how many messages stand before the answer."""
    value: float | None

    @property
    def asked(self) -> Json:
        """The question: a text or messages."""
        if self.begin:
            return _list(self.row[self.column])[: self.begin]
        return self.row.get("question" if self.column == "answer" else "prompt", "")

    @property
    def answer(self) -> Json:
        """The answer: a text or messages."""
        given = self.row[self.column]
        return _list(given)[self.begin :] if self.begin else given

    @property
    def references(self) -> frozenset[str]:
        """What is known to be right, in small letters."""
        given = self.row.get("reference")
        if given is None and self.column != "answer":
            given = self.row.get("answer")
        return frozenset(str(one).strip().casefold() for one in _list(given))

    def saying(self, answer: Json) -> Row | None:
        """Return the row with another answer; None where that has another form."""
        row = {name: value for name, value in self.row.items() if name != "id"}
        if self.begin:
            text = isinstance(answer, str)
            said = [{"role": "assistant", "content": answer}] if text else _list(answer)
            return {**row, self.column: [*_list(self.asked), *said]}
        if self.column == "completion" or isinstance(answer, str):
            return {**row, self.column: answer}
        return None


def _list(given: Json) -> list[Any]:
    """Return a list as it is, nothing as an empty one, and all else as its only element."""
    if isinstance(given, list):
        return cast("list[Any]", given)
    return [] if given is None else [given]


def live_answer(row: Row, value: float | None) -> LiveAnswer | None:
    """Return a row of the traffic as one whose answer can be exchanged; None: it is no such row."""
    if "schema" in row or "follow_up" in row:
        return None
    column = next((c for c in ("completion", "response") if c in row), None)
    if column is None and {"question", "answer", "reference"} <= row.keys():
        column = "answer"
    if column is not None:
        return LiveAnswer(row, column, 0, value)
    column = next((c for c in ("messages", "conversation") if c in row), "")
    roles = [_role(message) for message in _list(row.get(column))]
    asked = [n for n, role in enumerate(roles, 1) if role not in ("assistant", "tool")]
    begin = asked[-1] if asked else 0
    return LiveAnswer(row, column, begin, value) if 0 < begin < len(roles) else None


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


class LiveRows:
    """A sample of the rows of the traffic, one row of a request at most.

    Each request of a span is as likely to be in it (Algorithm R, Vitter 1985). While a span has no
    rows yet, those of the one before it serve.
    """

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._seen = 0
        self._rows: list[LiveAnswer] = []
        self._before: list[LiveAnswer] = []

    def add(self, rows: Sequence[Row], answers: Sequence[ScoredRow]) -> None:
        """Offer the rows of a request."""
        if not rows:
            return
        place, number = self._draw.randrange(self._seen + 1), self._draw.randrange(len(rows))
        if place >= LIVE_ROWS:
            self._seen += 1
            return
        live = live_answer(rows[number], answers[number].value)
        if live is None or len(msgspec.json.encode(live.row)) > LIVE_BYTES:
            return
        self._seen += 1
        if len(self._rows) < LIVE_ROWS:
            self._rows.append(live)
        else:
            self._rows[place] = live

    def begin_span(self) -> None:
        """Begin anew with the rows that come from now on."""
        if self._rows:
            self._before, self._rows, self._seen = self._rows, [], 0

    def one(self) -> LiveAnswer | None:
        """Return a row; None: none came yet."""
        rows = self._rows or self._before
        return self._draw.choice(rows) if rows else None

    def transplant(self, paid_above: float) -> Row | None:
        """Return a question with an answer that was paid under another one, or None.

        Two rows that share a reference do not do: there the answer may be right.
        """
        rows = [*self._rows, *self._before]
        donors = [one for one in rows if one.value is not None and one.value > paid_above]
        for _ in range(8 if donors else 0):
            donor, other = self._draw.choice(donors), self._draw.choice(rows)
            if donor.asked != other.asked and not donor.references & other.references:
                return other.saying(donor.answer)
        return None


# Cheats


Forge = Callable[[Scene, int], Scene]
"""From a scene and its number to the scene in which the judge is cheated."""


def cheats_for(kind: str, texts: Sequence[str]) -> dict[str, Forge]:
    """Return the cheats for a reward, by name.

    Args:
        kind: of its judge; empty: a specification of rewards.
        texts: further texts that are no answer to any question.
    """
    if kind == "feedback":
        return {one.title: _attack(one.forge, kind) for one in ATTACKS if kind in one.kinds}
    found = {one.name: _case(one.play) for one in CASES if one.name in _CHEATS}
    return found | {text[:_NAME]: _text(text) for text in texts}


def _attack(forge: Callable[[Scene, int, AttackFacts], Scene], kind: str) -> Forge:
    facts = AttackFacts(kind=kind, special_tokens=(), candidates=())
    return lambda scene, number: forge(scene, number, facts)


def _case(play: Callable[[Subject], Any]) -> Forge:
    def forge(scene: Scene, number: int) -> Scene:
        del number
        subject = msgspec.structs.replace(SUBJECTS[0], asked=scene.question)
        return scene.saying(play(subject).final_answer or "")

    return forge


def _text(text: str) -> Forge:
    return lambda scene, number: scene.saying(text)


# One after the other


class ProbeSource:
    """Gives the probes of one reward, one after the other: half of them are cheats."""

    def __init__(
        self,
        served: Served,
        known: Sequence[WatchProbe],
        texts: Sequence[str],
        paid_above: float,
        seed: int,
    ) -> None:
        """Collect what there is to ask.

        Args:
            served: the reward.
            known: rows of the user whose value is known.
            texts: further cheats.
            paid_above: a value above it is a payment.
            seed: of all draws.
        """
        self._draw = random.Random(f"watch {seed} {served.name}")
        self.live = LiveRows(self._draw)
        self._kind = served.kind
        self._paid_above = paid_above
        self._scenes = list(_scenes(served))
        self._forges: Mapping[str, Forge] = cheats_for(served.kind, texts)
        self.cheats = list(self._forges)
        self._names = cycle(self.cheats)
        self._number = 0
        self._honest = self._alternated(known, list(_shipped(served, self._scenes)))

    def _alternated(self, *kinds: list[WatchProbe] | Sequence[WatchProbe]) -> Iterator[WatchProbe]:
        """Yield of each kind in turn, for ever, each in an order of its own."""
        shuffled = [self._draw.sample(kind, len(kind)) for kind in kinds if kind]
        cycles = [cycle(kind) for kind in shuffled]
        while cycles:
            yield from map(next, cycles)

    def take_traffic(self, rows: Sequence[Row], answers: Sequence[ScoredRow]) -> None:
        """Take rows of the traffic as questions; of pairs and reactions there are none."""
        if self._kind not in ("pairwise", "feedback"):
            self.live.add(rows, answers)

    def take(self) -> WatchProbe | None:
        """Return the next probe; None: there is nothing to ask now."""
        self._number += 1
        if self._number % 4 == 2:
            honest = next(self._honest, None)
            return honest or self._cheat()
        if self._number % 4 == 0:
            row = self.live.transplant(self._paid_above)
            if row is not None:
                return WatchProbe(TRANSPLANT, row, right=False, live=True, cheat=True)
        return self._cheat()

    def _cheat(self) -> WatchProbe | None:
        name = next(self._names)
        forge, live = self._forges[name], self.live.one()
        if live is not None:
            asked: Any = live.asked
            made = live.saying(forge(Scene(prompt=asked, answer=""), self._number).answer)
            if made is not None:
                return WatchProbe(name, made, right=False, live=True, cheat=True)
        if not self._scenes:
            return None
        scene = forge(self._draw.choice(self._scenes), self._number)
        return WatchProbe(name, _row(scene, self._kind), right=False, cheat=True)


def _scenes(served: Served) -> Iterator[Scene]:
    """Yield shipped questions with a wrong answer; none where they would be out of place."""
    if served.kind in AUDITED:
        yield from (scene_of(item, "wrong") for item in shipped_base(served.kind).items)
    elif not served.kind and served.scorer.judges:
        for one in SUBJECTS:
            yield Scene(prompt=one.asked, answer=one.wrong, references=(one.right,))


def _shipped(served: Served, scenes: Sequence[Scene]) -> Iterator[WatchProbe]:
    """Yield shipped questions with an honest answer, right and wrong ones in turn."""
    if served.kind in AUDITED:
        items = shipped_base(served.kind).items
        for right, wrong in zip((scene_of(one, "right") for one in items), scenes, strict=True):
            yield WatchProbe("shipped, right", right.row(served.kind), right=True)
            yield WatchProbe("shipped, wrong", wrong.row(served.kind), right=False)
    elif scenes:
        cases = [(case, _HONEST[case.name]) for case in CASES if case.name in _HONEST]
        for subject in SUBJECTS:
            for case, right in cases:
                row = msgspec.to_builtins(case.play(subject))
                yield WatchProbe("shipped, right" if right else "shipped, wrong", row, right=right)


def _row(scene: Scene, kind: str) -> Row:
    if kind:
        return scene.row(kind)
    answers = list(scene.references)
    return {"prompt": question_of(scene.prompt), "completion": scene.answer, "answer": answers}
