"""What becomes of answers whose verdict is known, by file and type, without a model.

    scripts/bench answer_cases [--data DIR] [--show wrong|open] [--json FILE]

DIR holds `blind_honest.jsonl`, `blind_near.jsonl`, `blind_cheats.jsonl` and `blind_wrong.jsonl`,
which were written by somebody who had not read the comparisons; what is not there is left out, and
said. Honest answers are right, all others are wrong. `--show wrong` prints each row that was
called what it is not, `--show open` each row that nothing decided.

The first table counts correct, incorrect and open by file and type; the second says what decided;
the third has the goals beside what was measured. The shares of right verdicts depend on how many
answers of each file there are, so that they compare two versions of the code and nothing else.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from plaudit.judges.answers.base import AnswerCase, AnswerOptions, Decision
from plaudit.judges.answers.decision import decide

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "judges" / "answers" / "data"
FILES = ("honest", "near", "cheats", "wrong")
VALUES = ("correct", "incorrect", "open")


class Seen(NamedTuple):
    """One row and what became of it."""

    file: str
    row: dict[str, Any]
    decision: Decision

    @property
    def value(self) -> str:
        """What the answer was called: `correct`, `incorrect` or `open`."""
        return self.decision.value or "open"

    @property
    def truth(self) -> str:
        """What a careful person calls it: `correct` or `incorrect`."""
        return "correct" if self.file == "honest" else "incorrect"

    @property
    def wrong(self) -> bool:
        """Whether the answer was called what it is not."""
        return self.value not in (self.truth, "open")


class Goal(NamedTuple):
    """A share of some answers, and the bound that it should keep."""

    name: str
    of: Callable[[Seen], bool]
    """Which answers are counted."""
    hit: Callable[[Seen], bool]
    """Which of them make up the share."""
    bound: str
    """`>=` or `<=`, and a share of 0 to 1."""

    def line(self, seen: Sequence[Seen]) -> dict[str, Any]:
        """Return the share, the count behind it, and whether the bound is kept."""
        counted = [one for one in seen if self.of(one)]
        share = sum(map(self.hit, counted)) / len(counted) if counted else None
        kept = None if share is None else self.keeps(share)
        return {
            "goal": self.name,
            "of": len(counted),
            "share": share,
            "bound": self.bound,
            "kept": kept,
        }

    def keeps(self, share: float) -> bool:
        """Whether a share keeps the bound."""
        sign, bound = self.bound.split()
        return share >= float(bound) if sign == ">=" else share <= float(bound)


def of_file(name: str) -> Callable[[Seen], bool]:
    return lambda one: one.file == name


def called(value: str) -> Callable[[Seen], bool]:
    return lambda one: one.value == value


def decided(one: Seen) -> bool:
    return one.value != "open"


GOALS = (
    Goal("honest called wrong", of_file("honest"), called("incorrect"), "<= 0.07"),
    Goal("honest left open", of_file("honest"), called("open"), "<= 0.25"),
    Goal("near misses called equal", of_file("near"), called("correct"), "<= 0"),
    Goal("cheats paid", of_file("cheats"), called("correct"), "<= 0.02"),
    Goal("wrong ones decided", lambda one: one.truth == "incorrect", decided, ">= 0.5"),
    Goal("all decided", lambda _: True, decided, ">= 0.75"),
    Goal("right of called correct", called("correct"), lambda one: not one.wrong, ">= 0.97"),
    Goal("right of called incorrect", called("incorrect"), lambda one: not one.wrong, ">= 0.93"),
)


def case_of(row: dict[str, Any]) -> AnswerCase:
    """Return the case that a row describes."""
    reference = row["reference"]
    return AnswerCase(
        question=row["question"],
        answer=row["answer"],
        references=(reference,) if isinstance(reference, str) else tuple(reference),
        choices=tuple(row.get("choices", ())),
        options=AnswerOptions(answer_type=row.get("answer_type", "auto")),
    )


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file; none, and a word about it, where the file is missing."""
    if not path.exists():
        print(f"{path.name}: left out: there is no such file", file=sys.stderr)
        return
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def judged(data: Path) -> list[Seen]:
    """Decide all rows of all files."""
    return [
        Seen(file, row, decide(case_of(row)))
        for file in FILES
        for row in rows(data / f"blind_{file}.jsonl")
    ]


def by_type(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """Count the values of each file and type, and of each file as a whole."""
    groups: dict[tuple[str, str], Counter[str]] = {}
    for one in seen:
        for kind in (one.row["type"], "all"):
            groups.setdefault((one.file, kind), Counter())[one.value] += 1
    return [
        {"file": file, "type": kind, **{value: counts[value] for value in VALUES}}
        for (file, kind), counts in sorted(groups.items(), key=order)
    ]


def order(group: tuple[tuple[str, str], Counter[str]]) -> tuple[int, bool, str]:
    """Sort groups by file, with the whole of each file last."""
    (file, kind), _ = group
    return FILES.index(file), kind == "all", kind


def by_decider(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """Count the decided rows of each file by what decided them, and how many of them went wrong."""
    counts = Counter((one.file, one.decision.by or "nobody") for one in seen)
    wrong = Counter((one.file, one.decision.by) for one in seen if one.wrong)
    deciders = sorted(counts, key=lambda pair: FILES.index(pair[0]))
    return [
        {"file": file, "by": by, "answers": counts[file, by], "wrong": wrong[file, by]}
        for file, by in deciders
    ]


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Lay lines with the same keys out in columns."""
    texts = [list(lines[0])] + [[cell(value) for value in line.values()] for line in lines]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in texts
    )


def cell(value: Any) -> str:
    """Write one value of a table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def line_of(one: Seen) -> str:
    """Write a row and what became of it as one line of JSON."""
    shown = {"file": one.file, **one.row, "value": one.value, "by": one.decision.by}
    shown |= {"reason": one.decision.reason, "extracted": one.decision.extracted}
    return json.dumps(shown | {"probability": one.decision.probability}, ensure_ascii=False)


def report(seen: Sequence[Seen]) -> dict[str, list[dict[str, Any]]]:
    """Return the three tables."""
    goals = [goal.line(seen) for goal in GOALS]
    return {"types": by_type(seen), "deciders": by_decider(seen), "goals": goals}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the four files")
    parser.add_argument("--show", choices=("wrong", "open"), help="print these rows as well")
    parser.add_argument("--json", type=Path, help="write the tables to this file as well")
    options = parser.parse_args()
    seen = judged(options.data)
    if not seen:
        raise SystemExit(f"{options.data} holds none of the files")
    tables = report(seen)
    print("\n\n".join(map(table, tables.values())))
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1) + "\n")
    for one in seen:
        if (options.show == "wrong" and one.wrong) or (options.show == one.value):
            print(line_of(one))


if __name__ == "__main__":
    main()
