"""Every set in a folder benched with one model, and with `verify` without a model.

    scripts/bench bench_sets --data DIR [--engine local] [--limit N] [--sets NAME...] [--write]

DIR holds the published files, in a folder a set: `llmbar`, `pandalm`, `evouna` and so on. What is
not there is left out, and said. Sets of pairs and of reactions are judged by the engine; sets of
answers by `none:`, always on all rows, and by the engine. Runs are kept in build/bench, so a
second run asks nothing, and one that was stopped goes on. A run with `--write` writes
results/bench_sets.json and the tables of figures in docs/reference/benchmarks.md and README.md.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from throughput import machine

from plaudit._util import loops
from plaudit.bench.arms import Sweep, arms_of_engines
from plaudit.bench.catalog import DATASETS
from plaudit.bench.job import make_job
from plaudit.bench.results import ArmResults, BenchResults, Figure
from plaudit.bench.run import check_statistics, run_bench
from plaudit.engines.load import load_engine
from plaudit.io.progress import Progress
from plaudit.judges.load import make_config
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import RunSettings
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "bench_sets.json"
PAGES = (ROOT / "docs" / "reference" / "benchmarks.md", ROOT / "README.md")
STORE = ROOT / "build" / "bench" / "bench_sets.sqlite"
BEGIN, END = "<!-- sets: written by scripts/bench bench_sets --write -->", "<!-- /sets -->"
HEAD = ("set", "judge", "rows", "score", "right of ok", "ok", "same winner in both orders")
FEEDBACK = ROOT / "examples" / "feedback.jsonl"


def places(data: Path, names: list[str]) -> Iterator[tuple[str, Path, str]]:
    """Yield the sets that are there: name, place and kind; own are the examples."""
    for name, form in DATASETS.items():
        if names and name not in names:
            continue
        place = FEEDBACK if name == "own" else data / name
        if place.exists():
            yield name, place, form.kind or "feedback"
        else:
            print(f"{name}: not in {data}, left out", file=sys.stderr)


def engines_of(kind: str, engine: str) -> list[str]:
    """Return the engines that judge rows of a kind."""
    return list(dict.fromkeys(["none:", engine])) if kind == "verify" else [engine]


def benched(name: str, place: Path, kind: str, engine: str, most: int | None) -> BenchResults:
    """Bench one engine on one set; without a model, on all of it."""
    limit = None if engine == "none:" else most
    job = make_job(name, str(place), kind, folder=STORE.with_name("rows"), limit=limit)
    arms = arms_of_engines(make_config(kind, {}), [engine], load_engine, Sweep())
    with Store(STORE) as store:
        settings = RunSettings(
            store=store,
            progress=Progress(name, enabled=False),
            send=SendPolicy(),
            cache=CachePolicy(),
            prices=Prices(),
        )
        rows = job.rows.rows
        found = run_bench(settings, job, arms, lambda arm: Progress(f"{name}, {arm}", None, rows))
        done = loops.run(found)
    card = msgspec.structs.replace(done.set, source=place.name)  # No path of this machine.
    return msgspec.structs.replace(done, set=card)


def with_interval(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def line(found: BenchResults, arm: ArmResults) -> list[str]:
    figures = arm.overall.figures
    cells = [with_interval(figures.get(n)) for n in ("accuracy", "coverage", "consistency")]
    rows = f"{arm.overall.counts.samples:,}"
    return [found.set.title, f"`{arm.judge.name}`", rows, with_interval(arm.score), *cells]


def markdown(results: list[BenchResults]) -> str:
    """Return the table of all arms."""
    lines = [list(HEAD), ["---"] * len(HEAD)]
    lines += [line(found, arm) for found in results for arm in found.arms]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def write(report: Mapping[str, Any], table: str) -> None:
    """Write the results, and the table into the pages that have a place for it."""
    data = msgspec.json.format(msgspec.json.encode(report), indent=1)
    RESULTS.write_bytes(data + b"\n")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        before, begin, rest = text.partition(BEGIN)
        if begin:
            after = rest.partition(END)[2]
            page.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Bench the sets and print, or write, the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--engine", default="local", help="URI of the model")
    parser.add_argument("--limit", type=int, help="most rows a set for the model")
    parser.add_argument("--sets", nargs="+", default=[], choices=list(DATASETS))
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} and the docs")
    given = parser.parse_args()
    check_statistics()
    STORE.parent.mkdir(parents=True, exist_ok=True)
    found: list[BenchResults] = []
    for name, place, kind in places(given.data, given.sets):
        for engine in engines_of(kind, given.engine):
            found.append(benched(name, place, kind, engine, given.limit))
            print(markdown(found[-1:]), flush=True)
    if not found:
        raise SystemExit(f"{given.data} holds no set: name one with --data")
    if given.write:
        report = {"machine": machine(), "limit": given.limit, "results": found}
        write(report, markdown(found))


if __name__ == "__main__":
    main()
