"""How large and how tidy the tree is: the figures of the house, each with its target beside it.

scripts/house [--json]     print the table, or the figures as JSON
"""

import argparse
import ast
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
NEW = (
    "judges/answers",  # Rules, types and the head that compare answers.
    "prompts/sandbox.py",
    "rollouts/call_probe.py",
    "rollouts/form_choice.py",
    "rollouts/calls",  # Reading calls of the model families.
    "rollouts/tools/identity.py",
    "io/places.py",
    "bench/audit",  # Proof, and the reward server, came after the rebuild.
    "bench/report",
    "server",
    "rewarding",
    "scoring/drift.py",
    "runs/online.py",
    *(
        f"integrations/{name}.py"
        for name in (
            "areal",
            "art",
            "nemo_gym",
            "nemo_rl",
            "openrlhf",
            "rllm",
            "skyrl",
            "slime",
            "tinker",
            "verifiers",
            "verl",
            "verl_turns",
        )
    ),
    "engines/batch",  # Batches, clusters and several processes.
    "engines/http/transfers.py",
    "store/batches.py",
    *(f"runs/{name}.py" for name in ("batches", "batch_policy", "batch_pool", "batch_sending")),
    *(f"cli/{name}.py" for name in ("batches", "display_batches", "cluster", "view")),
    "integrations/ray",
    "sending/leases.py",
    "runs/processes",
    "viewer",
)
"""Folders and modules of a new subject that the steps before and after the rebuild added.

`sizes` leaves them out under these names only: a module that moves counts again.
"""
DIALECT = {
    "told": r"told",
    "tells": r"tells",
    "untold": r"untold",
    "be had": r"be had",
    "is had": r"is had",
    "in vain": r"in vain",
    "whoever": r"whoever",
    "at hand": r"at hand",
    "is said": r"is said",
}
_OF_PROTOCOLS = ("_asdict", "_fields", "_make", "_replace", "_repr_html_")
"""Public names of named tuples and notebooks, whatever they begin with."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_FENCE = re.compile(r"^```.*?^```[ \t]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?:])[\"')*]*\s+(?=[\"'(*`\[]*[A-Z0-9`])")
_IMPORTED = re.compile(r"^\s*(?:from (plaudit[\w.]*) import|import (plaudit[\w.]*))", re.MULTILINE)


class Row(NamedTuple):
    """One figure of the table."""

    what: str
    found: str
    target: str


class Tree:
    """The parsed modules of a repository."""

    def __init__(self, root: Path) -> None:
        """Read and parse everything below `src`, `tests` and `docs`."""
        self.root = root
        self.source = root / "src" / "plaudit"
        self.texts = {path: path.read_text(encoding="utf-8") for path in _modules(self.source)}
        self.parsed = {path: ast.parse(text) for path, text in self.texts.items()}
        self.tests = {
            path: ast.parse(path.read_text(encoding="utf-8")) for path in _modules(root / "tests")
        }
        pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
        self.pages = {p: p.read_text(encoding="utf-8") for p in pages if p.exists()}

    def name(self, path: Path) -> str:
        """Return the path of a module within the package."""
        return path.relative_to(self.source).as_posix()


def _modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


# ------------------------------------------------------------------ size


def sizes(tree: Tree) -> dict[str, tuple[int, int]]:
    """Return modules and lines by folder; `all`, and `old`: without what is listed as new."""
    found: dict[str, tuple[int, int]] = {}
    for path, text in tree.texts.items():
        name = tree.name(path)
        folder = name.partition("/")[0] if "/" in name else "(top)"
        for group in (folder, "all", *(() if _is_new(name) else ("old",))):
            modules, lines = found.get(group, (0, 0))
            found[group] = modules + 1, lines + len(text.splitlines())
    return found


def _is_new(name: str) -> bool:
    return any(name == new or name.startswith(f"{new}/") for new in NEW)


def long_modules(tree: Tree, most: int) -> list[str]:
    """Return the modules of more lines than `most`, the longest first."""
    lines = {tree.name(path): len(text.splitlines()) for path, text in tree.texts.items()}
    long = sorted(lines.items(), key=lambda item: -item[1])
    return [f"{name} {count}" for name, count in long if count > most]


# ------------------------------------------------------------------ classes


def classes(tree: Tree) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield every class with the name of its module."""
    for path, module in tree.parsed.items():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                yield tree.name(path), node


def methods(node: ast.ClassDef) -> int:
    """Return how many functions a class has; overloads of one name are one."""
    return len({part.name for part in node.body if isinstance(part, FUNCTIONS)})


def attributes(node: ast.ClassDef) -> int:
    """Return how many attributes the methods of a class set on `self`."""
    return len(
        {
            part.attr
            for part in ast.walk(node)
            if isinstance(part, ast.Attribute)
            and isinstance(part.ctx, ast.Store)
            and isinstance(part.value, ast.Name)
            and part.value.id == "self"
        }
    )


def long_classes(tree: Tree, most: int) -> list[tuple[int, str]]:
    """Return the classes of more methods than `most`, the longest first."""
    found = [
        (methods(node), f"{node.name} ({module}): {methods(node)}, {attributes(node)} attributes")
        for module, node in classes(tree)
    ]
    return sorted((one for one in found if one[0] > most), reverse=True)


def shared_names(tree: Tree) -> tuple[list[str], list[str]]:
    """Return the class names that stand in more than one module: public ones, private ones."""
    modules: defaultdict[str, set[str]] = defaultdict(set)
    for module, node in classes(tree):
        modules[node.name].add(module)
    twice = sorted(name for name, places in modules.items() if len(places) > 1)
    private = [name for name in twice if name.startswith("_")]
    return [name for name in twice if not name.startswith("_")], private


# ------------------------------------------------------------------ engines, imports, parameters


def engine_questions(tree: Tree) -> tuple[list[str], list[str]]:
    """Return where code outside of `engines` asks what an engine is: getattr, isinstance."""
    known = {node.name for module, node in classes(tree) if module.startswith("engines/")}
    attributes_asked: list[str] = []
    types_asked: list[str] = []
    for path, module in tree.parsed.items():
        if tree.name(path).startswith("engines/"):
            continue
        for node in ast.walk(module):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            where, is_engine = f"{tree.name(path)}:{node.lineno}", _is_engine(node.args[0])
            if node.func.id in ("getattr", "hasattr") and is_engine:
                attributes_asked.append(where)
            elif node.func.id == "isinstance" and len(node.args) == 2:
                names = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
                names |= {n.attr for n in ast.walk(node.args[1]) if isinstance(n, ast.Attribute)}
                if is_engine and names & known:
                    types_asked.append(where)
    return attributes_asked, types_asked


def _is_engine(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.strip("_") == "engine"


def circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges.get(name, ()):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            cut = stack.index(name)
            group = sorted(stack[cut:])
            del stack[cut:]
            if len(group) > 1:
                found.append(group)

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return found


def import_circles() -> list[list[str]]:
    """Return the circles among the modules of plaudit; imports for type checkers count too."""
    import grimp

    graph = grimp.build_graph("plaudit", cache_dir=None)
    return circles({m: sorted(graph.find_modules_directly_imported_by(m)) for m in graph.modules})


def most_parameters(module: ast.Module) -> int:
    """Return how many parameters the longest signature of a module's functions has."""
    return max((_parameters(n) for n in ast.walk(module) if isinstance(n, FUNCTIONS)), default=0)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = node.args
    return len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)


def imported_in_pages(tree: Tree) -> list[str]:
    """Return the module paths from which README and docs import."""
    return sorted({a or b for text in tree.pages.values() for a, b in _IMPORTED.findall(text)})


# ------------------------------------------------------------------ tests


def private_tests(tree: Tree) -> list[str]:
    """Return the test functions that read or patch a private attribute of plaudit's."""
    return [
        f"{path.relative_to(tree.root).as_posix()}::{node.name}"
        for path, module in tree.tests.items()
        for node in ast.walk(module)
        if isinstance(node, FUNCTIONS) and node.name.startswith("test_") and _touches(node)
    ]


def _touches(function: ast.AST) -> bool:
    return any(_reads_private(node) or _patches_private(node) for node in ast.walk(function))


def _reads_private(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute) or not _is_private(node.attr):
        return False
    return not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "os", "sys"))


def _patches_private(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    if node.func.attr not in ("setattr", "delattr", "object", "patch"):
        return False
    texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return any(_is_private(text.rpartition(".")[2]) for text in texts)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in _OF_PROTOCOLS


# ------------------------------------------------------------------ prose


def dialect(texts: Iterable[str]) -> dict[str, int]:
    """Return how often each word of the dialect stands in texts, as a word of its own."""
    whole = "\n".join(texts)
    return {
        word: len(re.findall(rf"(?<![A-Za-z]){pattern}(?![A-Za-z])", whole, re.IGNORECASE))
        for word, pattern in DIALECT.items()
    }


def sentences(page: str) -> list[str]:
    """Return the sentences of a page, without code blocks, comments, tables and headings."""
    text = _COMMENT.sub("", _FENCE.sub("\n\n", page))
    found: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.) )", text):
        lines = [line for line in block.splitlines() if not line.lstrip().startswith(("|", "#"))]
        prose = " ".join(" ".join(lines).split())
        found += [one for one in _SENTENCE.split(prose) if one]
    return found


def long_sentences(tree: Tree, most: int) -> list[str]:
    """Return the sentences of more words than `most` in README and docs, but the generated page."""
    return [
        f"{path.name}: {sentence}"
        for path, text in tree.pages.items()
        if path.name != "cli.md"
        for sentence in sentences(text)
        if words(sentence) > most
    ]


def words(sentence: str) -> int:
    """Return the words of a sentence; the target of a link is none."""
    shown = re.sub(r"\]\([^)]*\)", "]", sentence)
    return sum(bool(re.search(r"\w", word)) for word in shown.split())


# ------------------------------------------------------------------ what works for every row


def growing_files(few: Mapping[CodeType, int], many: Mapping[CodeType, int]) -> list[str]:
    """Return the files in which a function is called more often where there are more rows."""
    counts = [_by_function(few), _by_function(many)]
    return sorted({file for (file, *_), n in counts[1].items() if n > counts[0].get((file, *_), 0)})


def _by_function(calls: Mapping[CodeType, int]) -> Counter[tuple[str, str, int]]:
    found: Counter[tuple[str, str, int]] = Counter()
    for code, count in calls.items():
        found[code.co_filename, code.co_qualname, code.co_firstlineno] += count
    return found


def profiled(work: Callable[[], object], source: Path) -> Counter[CodeType]:
    """Count the calls of the functions below a folder, in all threads."""
    calls: Counter[CodeType] = Counter()
    prefix = str(source)

    def count(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(prefix):
            calls[frame.f_code] += 1

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return calls


def hot_files(tree: Tree, few: int = 3, many: int = 23) -> list[str]:
    """Return the files that work for every row of `judge feedback` (scripted engine, json)."""
    with tempfile.TemporaryDirectory(prefix="plaudit-house-") as folder:
        work = _Judging(Path(folder), tree.root / "examples" / "feedback.jsonl")
        work(few)  # What is done once in a process is done.
        runs = [
            profiled(lambda rows=rows: work(rows), tree.source) for rows in (few, few, many, many)
        ]
    low, high = runs[0] | runs[1], runs[2] & runs[3]
    return [Path(file).relative_to(tree.source).as_posix() for file in growing_files(low, high)]


class _Judging:
    """Judges so many rows, each time with a store of its own."""

    def __init__(self, folder: Path, rows: Path) -> None:
        self._folder, self._rows = folder, rows
        self._lines = rows.read_text(encoding="utf-8").splitlines()
        self._number = 0
        reply = {"rationale": "Thanks.", "label": "pos_praise", "confidence": 0.9}
        line = {"match": {}, "replies": [{"text": json.dumps(reply)}]}
        (folder / "script.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")

    def __call__(self, rows: int) -> None:
        from plaudit.cli import main

        self._number += 1
        source = self._folder / f"{self._number}.jsonl"
        source.write_text("\n".join(self._lines[:rows]) + "\n", encoding="utf-8")
        engine = f"scripted:{self._folder}/script.jsonl"
        command = ["plaudit", "judge", "feedback", str(source), "-e", engine, "--readout", "json"]
        home = {"PLAUDIT_HOME": str(self._folder / f"home{self._number}")}
        with (
            patch.object(sys, "argv", [*command, "--json", "-o", f"{source}.out.jsonl"]),
            patch.dict(os.environ, home),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(SystemExit),
        ):
            main()


# ------------------------------------------------------------------ the table


def figures(tree: Tree) -> dict[str, Any]:
    """Return every figure, with what it is made of."""
    public, private = shared_names(tree)
    asked, typed = engine_questions(tree)
    return {
        "hot_files": hot_files(tree),
        "sizes": sizes(tree),
        "new": NEW,
        "long_classes": [text for _, text in long_classes(tree, 20)],
        "judges_base_lines": _lines(tree, "judges/base.py"),
        "modules_over_500": long_modules(tree, 500),
        "modules_over_400": long_modules(tree, 400),
        "shared_public_names": public,
        "shared_private_names": private,
        "engine_getattr": asked,
        "engine_isinstance": typed,
        "import_circles": import_circles(),
        "parameters": {name: _most_parameters(tree, f"cli/{name}.py") for name in COMMANDS},
        "imported_in_docs": imported_in_pages(tree),
        "private_tests": private_tests(tree),
        "dialect": dialect([*tree.texts.values(), *tree.pages.values()]),
        "sentences_over_30": len(long_sentences(tree, 30)),
        "sentences_over_35": len(long_sentences(tree, 35)),
    }


COMMANDS = ("judge", "rollout")


def _lines(tree: Tree, name: str) -> int:
    return len(tree.texts.get(tree.source / name, "").splitlines())


def _most_parameters(tree: Tree, name: str) -> int:
    module = tree.parsed.get(tree.source / name)
    return 0 if module is None else most_parameters(module)


def table(found: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the table."""
    sized = {name: f"{count} / {lines:,}" for name, (count, lines) in found["sizes"].items()}
    said = ", ".join(f"{word} {count}" for word, count in found["dialect"].items())
    longest = found["long_classes"][0] if found["long_classes"] else "none over 20"
    asked = f"{len(found['engine_getattr'])} / {len(found['engine_isinstance'])}"
    names = f"{len(found['shared_public_names'])}, private {len(found['shared_private_names'])}"
    over = f"{found['sentences_over_30']} / {found['sentences_over_35']}"
    parameters = ", ".join(f"{name} {count}" for name, count in found["parameters"].items())
    rows = [
        Row("files whose calls grow with the rows", str(len(found["hot_files"])), "<= 18"),
        Row("modules / lines without what is new", sized["old"], "about 200 / <= 43,000"),
        Row("modules / lines in all", sized["all"], ""),
        *(Row(f"  {name}", sized[name], "") for name in sorted(sized.keys() - {"all", "old"})),
        Row("longest class, methods", longest, "none over 20"),
        *(Row("  over 20 too", one, "none over 20") for one in found["long_classes"][1:]),
        Row("lines of judges/base.py", str(found["judges_base_lines"]), "<= 250"),
        Row("modules over 500 lines", str(len(found["modules_over_500"])), "0"),
        Row("modules over 400 lines", str(len(found["modules_over_400"])), "0"),
        Row("class names in more modules than one", names, "0 public"),
        Row("getattr / isinstance on engines", asked, "0 / 0"),
        Row("import circles", str(len(found["import_circles"])), "0"),
        Row("parameters written by hand", parameters, "from the structs"),
        Row("module paths in docs", str(len(found["imported_in_docs"])), "one a topic"),
        Row("tests with private attributes", str(len(found["private_tests"])), "0"),
        Row("words of the dialect", said, "0"),
        Row("sentences over 30 / 35 words", over, "< 20 / 0"),
    ]
    return rows


def main(arguments: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Print the figures of the house.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    found = figures(Tree(ROOT))
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    rows = table(found)
    width = max(len(row.what) for row in rows)
    for row in rows:
        print(f"{row.what:<{width}}  {row.found}{f'  (target {row.target})' * bool(row.target)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
