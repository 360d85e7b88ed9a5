"""The docs, generated and executed: every command and every example in them is really run.

    scripts/docs cli               write docs/reference/cli.md from the definitions of the commands
    scripts/docs outputs [PAGE..]  run what the pages show and write what came out into them
    scripts/docs check [PAGE..]    run it and compare
    scripts/docs picture           write docs/images/judge.svg from a real run
    scripts/docs build | serve     the site, in build/site

What is run: in a `console` fence each line that begins with `$ ` (what follows is its output), a
`bash` fence as one script, a `python` fence as it is. A page is one session: its fences run in
order, in a folder of its own with a copy of `examples/` and `benchmarks/data/`, and with a
`PLAUDIT_HOME` of its own. A fence with a title is a file of that name: it is written, not run.
Comments before a fence say more:

    <!-- output -->              the fence is what the Python before it printed
    <!-- test: server -->        run against a fake of the named endpoint
    <!-- test: batches -->       run against a stand-in of OpenAI with its batch API
    <!-- test: exit N -->        the last command ends with this status (else 0)
    <!-- test: about -->         counts may be off by 3 (they depend on the processor a little)
    <!-- test: needs PACKAGE --> skipped where the package is not installed
    <!-- test: full -->          long: run by scripts/test --full and by this script only
    <!-- test: skip REASON -->   not run

Outputs are compared number by number: decimals may be off by 0.02; times, tokens and fingerprints
do not count, nor do the numbers of runs after a long fence that was not run. A line `...` stands
for lines left out.
"""

import ast
import asyncio
import contextlib
import importlib.util
import io
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
COLUMNS = "100"
PICTURED = "awk 'NR % 8 == 4' examples/feedback.jsonl | plaudit judge feedback -"
ENDPOINT = "http://127.0.0.1:8000/v1"
SERVED = "http://127.0.0.1:8080"
"""Where pages serve rewards; a free port stands for theirs while they run."""
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "VLLM_API_KEY", "TOGETHER_API_KEY")
TIMEOUT_S = 110

_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\s*$")
_MARK = re.compile(r"^<!-- (test|output)(?:: (.*?))? ?-->$")
_EXACT = -1
"""Instead of slack: every number must be the same."""
_PROGRESS = re.compile(
    r"(judge \w+|bench \w+, .*|questions|rollout|score|export): [\d,]+ .* · |"
    r"(downloading|unpacking) "
)
_RUN = re.compile(r"\b([a-z]+)-\d{4}\b")
"""The id of a run, which counts all runs of a page: its number holds where every fence is run."""
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_VOLATILE = (
    (re.compile(r"[\d.]+ s, [\d.]+ (samples|rollouts)/s"), "TIME"),
    (re.compile(r'"seconds":[\d.e-]+'), '"seconds":TIME'),
    (re.compile(r"^a thousand rows: .*"), "a thousand rows: TIME"),
    (re.compile(r"\d+ tokens in(, |, at most )\d+ out"), "TOKENS"),
    (re.compile(r'"(input|output)_tokens":\d+'), "TOKENS"),
    (re.compile(r"\b(feedback|pointwise|pairwise|verify)/[0-9a-f]{12}"), r"\1/FINGERPRINT"),
    (re.compile(r"(20\d\d-)?\d\d-\d\d[ T]\d\d:\d\d"), "TIME"),
)


def pages() -> list[Path]:
    """Return the pages whose examples run."""
    own = sorted(set(DOCS.rglob("*.md")) - {DOCS / "reference" / "cli.md"})
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *own]


# ------------------------------------------------------------------ reading a page


@dataclass
class Fence:
    """A fenced block with what was said about it."""

    page: Path
    language: str
    first: int
    """Index of its first line of content; the fence line is the one before."""
    lines: list[str]
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """For a person."""
        return f"{self.page.relative_to(ROOT)}:{self.first + 1}"


def fences(page: Path) -> list[Fence]:
    """Return the fenced blocks of a page in order."""
    found: list[Fence] = []
    marks: dict[str, str] = {}
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines()))
    for number, line in lines:
        opening = _FENCE.match(line)
        if opening:
            content = [text for _, text in itertools.takewhile(lambda n: n[1] != "```", lines)]
            file = {"file": opening[2]} if opening[2] else {}
            found.append(Fence(page, opening[1], number + 1, content, marks | file))
            marks = {}
        elif mark := _MARK.match(line):
            kind, text = mark[1], mark[2] or ""
            name, _, rest = text.partition(" ") if kind == "test" else (kind, "", text)
            marks[name] = rest
        elif line.strip():
            marks = {}
    return found


@dataclass
class Command:
    """One `$ ` line of a console fence, and the output that is shown for it."""

    text: str
    first: int
    shown: list[str]


def commands(fence: Fence) -> list[Command]:
    """Return the commands of a console fence."""
    found: list[Command] = []
    continued = False
    for number, line in enumerate(fence.lines):
        if continued:
            found[-1].text += "\n" + line
            found[-1].first = number + 1
        elif line.startswith("$ "):
            found.append(Command(line[2:], number + 1, []))
        elif found:
            found[-1].shown.append(line)
        continued = bool(found) and not found[-1].shown and found[-1].text.endswith("\\")
    return found


# ------------------------------------------------------------------ comparing


def difference(shown: list[str], real: list[str], slack: int = 0) -> str | None:
    """Say where a shown output differs from the real one, or None."""
    wanted, there = _tidy(shown), _tidy(real)
    segments = [
        list(group) for dots, group in itertools.groupby(wanted, lambda x: x == "...") if not dots
    ]
    if "..." not in wanted:
        return _compare(wanted, there, slack)
    at = 0
    for number, segment in enumerate(segments):
        starts = range(at, len(there) - len(segment) + 1)
        if number == 0 and wanted[0] != "...":
            starts = range(0, 1)
        if number == len(segments) - 1 and wanted[-1] != "...":
            starts = range(max(at, len(there) - len(segment)), len(there) - len(segment) + 1)
        fits = [s for s in starts if _compare(segment, there[s : s + len(segment)], slack) is None]
        if not fits:
            return f"not in the output: {segment[0]!r} ...\n--- real:\n" + "\n".join(there)
        at = fits[0] + len(segment)
    return None


def _tidy(lines: list[str]) -> list[str]:
    tidy = [line.rstrip() for line in lines]
    while tidy and not tidy[0]:
        tidy.pop(0)
    while tidy and not tidy[-1]:
        tidy.pop()
    return tidy


def _compare(wanted: list[str], there: list[str], slack: int) -> str | None:
    for number, (a, b) in enumerate(itertools.zip_longest(wanted, there)):
        if a is None or b is None or not _same(a, b, slack):
            return f"line {number + 1}:\n  shown: {a!r}\n  real:  {b!r}"
    return None


def _same(a: str, b: str, slack: int) -> bool:
    for pattern, instead in _VOLATILE:
        a, b = pattern.sub(instead, a), pattern.sub(instead, b)
    if _bare(a) != _bare(b):
        return False
    numbers = zip(_NUMBER.findall(a), _NUMBER.findall(b), strict=True)
    return all(_near(x, y, slack) for x, y in numbers)


def _bare(line: str) -> str:
    return " ".join(_NUMBER.sub("0", line).split())


def _near(x: str, y: str, slack: int) -> bool:
    if x == y:
        return True
    if slack == _EXACT:
        return False
    decimal = "." in x or "." in y or "e" in x + y
    return abs(float(x) - float(y)) <= (0.02 + slack / 10 if decimal else slack)


# ------------------------------------------------------------------ running a page


class Session:
    """Runs the fences of one page."""

    def __init__(self, folder: Path, *, forked: bool = False) -> None:
        """Make the folder ready; forked: run plaudit and Python as forks of one server."""
        self.folder = folder
        self._interpreter = [sys.executable, "-W", "error", str(Path(__file__)), "interpreter"]
        for name in ("examples", "benchmarks/data"):
            shutil.copytree(ROOT / name, folder / name)
        home = folder / ".home"
        clean = {k: v for k, v in os.environ.items() if k not in KEYS}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        if forked:
            from tests.support.forks import forks

            path = f"{forks().folder}{os.pathsep}{path}"
            self._interpreter = forks().command("interpreter")
        self.env = clean | {
            "PLAUDIT_HOME": str(home),
            "COLUMNS": COLUMNS,
            "PATH": path,
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.served = f"http://127.0.0.1:{port}"
        self.env["PLAUDIT_SERVE_PORT"] = str(port)
        self._python: subprocess.Popen[str] | None = None

    def shell(self, text: str, env: dict[str, str]) -> tuple[int, list[str]]:
        """Run a command; return its status and what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text.replace(SERVED, self.served)],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        printed = done.stdout.replace(self.served, SERVED)
        lines = [x for x in printed.splitlines() if not _PROGRESS.match(x)]
        return done.returncode, lines

    def python(self, code: str, env: dict[str, str]) -> tuple[str, list[str]]:
        """Run Python in this page's interpreter; return the error, if any, and what it printed."""
        if self._python is None:
            self._python = subprocess.Popen(
                self._interpreter,
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._python.stdin and self._python.stdout
        code = code.replace(SERVED, self.served)
        self._python.stdin.write(json.dumps({"code": code, "env": env}) + "\n")
        self._python.stdin.flush()
        answer = json.loads(self._python.stdout.readline() or '{"error": "it died", "printed": ""}')
        return answer["error"], answer["printed"].splitlines()

    def close(self) -> int:
        """End the interpreter; return its status."""
        if self._python is None:
            return 0
        self._python.communicate(timeout=30)
        return self._python.returncode


def interpreter() -> None:
    """Run code that comes in on standard input, all of it in one namespace."""
    space: dict[str, Any] = {"__name__": "__main__"}
    sys.path[0] = ""  # As where Python is begun: modules of the page's folder.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    loop = asyncio.new_event_loop()
    for line in sys.stdin:
        task = json.loads(line)
        os.environ.update(task["env"])
        printed, error = io.StringIO(), ""
        try:
            code = compile(task["code"], "<page>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            with contextlib.redirect_stdout(printed):
                running = eval(code, space)
                if running is not None:
                    loop.run_until_complete(running)
        except Exception:
            error = traceback.format_exc()
        out.write(json.dumps({"error": error, "printed": printed.getvalue()}) + "\n")
        out.flush()
    loop.close()
    out.close()


def run_page(
    page: Path, *, update: bool = False, full: bool = True, forked: bool = False
) -> list[str]:
    """Run a page; return what is wrong with it.

    Args:
        page: the Markdown file.
        update: write the real outputs into it instead.
        full: also run what is marked as long.
        forked: start no interpreter for a command; see `tests/support/forks.py`.
    """
    with tempfile.TemporaryDirectory(prefix="plaudit-docs-") as folder:
        session = Session(Path(folder), forked=forked)
        run = _PageRun(session, update)
        for fence in fences(page):
            if full or "full" not in fence.marks:
                run.take(fence)
            else:
                run.runs_left_out = True
        if session.close():
            run.problems.append(f"{page.name}: the interpreter ended with an error")
    if run.edits:
        _edit(page, run.edits)
    return run.problems


class _PageRun:
    """A page on its way."""

    def __init__(self, session: Session, update: bool) -> None:
        self.problems: list[str] = []
        self.edits: list[tuple[int, int, list[str]]] = []
        self.runs_left_out = False
        self._session = session
        self._update = update
        self._printed: list[str] | None = []
        """By the last Python; None: it was left out."""

    def take(self, fence: Fence) -> None:
        """Run, write or compare one fence."""
        if "file" in fence.marks:
            target = self._session.folder / fence.marks["file"]
            target.write_text("\n".join(fence.lines) + "\n", encoding="utf-8")
        elif "output" in fence.marks:
            if self._printed is not None:
                self._check(fence, fence.first, fence.lines, self._printed, "")
        elif _skipped(fence):
            self._printed = None
        else:
            with _server(fence) as env:
                self._run(fence, env.pop("URL", ENDPOINT), env)

    def _run(self, fence: Fence, url: str, env: dict[str, str]) -> None:
        whole = "\n".join(fence.lines).replace(ENDPOINT, url)
        if fence.language == "python":
            error, self._printed = self._session.python(whole, env)
            self.problems += [f"{fence.where}: {error}"] if error else []
        elif fence.language == "bash":
            status, printed = self._session.shell(whole, env)
            self.problems += _status_problem(fence, status, printed)
        elif fence.language == "console":
            self._run_commands(fence, url, env)

    def _run_commands(self, fence: Fence, url: str, env: dict[str, str]) -> None:
        found = commands(fence)
        for command in found:
            status, printed = self._session.shell(command.text.replace(ENDPOINT, url), env)
            if command is found[-1] or status not in (0, 1):
                self.problems += _status_problem(fence, status, printed)
            first = fence.first + command.first
            self._check(fence, first, command.shown, printed, f"$ {command.text}: ")

    def _check(
        self, fence: Fence, first: int, shown: list[str], real: list[str], what: str
    ) -> None:
        if self.runs_left_out:
            shown, real = ([_RUN.sub(r"\1-RUN", x) for x in lines] for lines in (shown, real))
        wrong = difference(shown, real, _EXACT if self._update else _slack(fence))
        if wrong and self._update:
            self.edits.append((first, len(shown), _renewed(shown, real)))
        elif wrong:
            self.problems.append(f"{fence.where}: {what}{wrong}")


def _status_problem(fence: Fence, status: int, printed: list[str]) -> list[str]:
    wanted = int(fence.marks.get("exit", "0"))
    if status == wanted:
        return []
    return [f"{fence.where}: ended with {status}, not {wanted}:\n" + "\n".join(printed)]


def _slack(fence: Fence) -> int:
    return 3 if "about" in fence.marks else 0


def _skipped(fence: Fence) -> bool:
    needed = fence.marks.get("needs")
    return "skip" in fence.marks or bool(needed and not importlib.util.find_spec(needed))


def _renewed(shown: list[str], real: list[str]) -> list[str]:
    """Return the real output, cut where the shown one was: so many first and last lines."""
    real = _tidy(real)
    if "..." not in shown:
        return real
    cut = shown.index("...")
    tail = len(_tidy(shown[cut + 1 :]))
    return [*real[: len(_tidy(shown[:cut]))], "...", *(real[-tail:] if tail else [])]


def _edit(page: Path, edits: list[tuple[int, int, list[str]]]) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    for first, count, new in sorted(edits, reverse=True):
        lines[first : first + count] = new
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


# ------------------------------------------------------------------ the fake endpoint


@contextlib.contextmanager
def _server(fence: Fence) -> Iterator[dict[str, str]]:
    """Serve the protocols of OpenAI and Anthropic where the fence wants it."""
    if "batches" in fence.marks:
        with _batches() as env:
            yield env
        return
    if "server" not in fence.marks:
        yield {}
        return
    sys.path.insert(0, str(ROOT))
    from tests.support.server import FakeAnthropic, FakeOpenAI

    with FakeOpenAI(reply=_answer) as openai, FakeAnthropic(reply=_claude) as anthropic:
        yield {
            "URL": openai.url,
            "OPENAI_BASE_URL": openai.url,
            "OPENAI_API_KEY": "not-a-key",
            "ANTHROPIC_BASE_URL": anthropic.url,
            "ANTHROPIC_API_KEY": "not-a-key",
        }


@contextlib.contextmanager
def _batches() -> Iterator[dict[str, str]]:
    sys.path.insert(0, str(ROOT))
    from tests.support.batch_provider import KEYS, BatchProvider

    with (
        tempfile.TemporaryDirectory() as folder,
        BatchProvider("openai", Path(folder)) as provider,
    ):
        yield {"OPENAI_BASE_URL": provider.uri.partition("@")[2], **KEYS}


_TEXTS = {
    "feedback_verdict": {"rationale": "The user says thanks.", "label": "pos_praise"},
    "verify_verdict": {"reasoning": "It says the same.", "verdict": "correct"},
    "pointwise_verdict": {"score": 8},
    "pairwise_verdict": {"choice": "A=B"},
}


def _verdict(name: str) -> dict[str, Any]:
    from plaudit.judges.load import task_type

    schema = task_type(name.partition("_")[0]).schema
    return {k: 0.9 if k == "confidence" else "" for k in schema["required"]} | _TEXTS[name]


def _answer(body: Any) -> Any:
    from tests.support.server import chat, completion

    text_mode = "prompt" in body
    if body.get("logprobs"):
        words = ["praise", "one", "first", "right", "eight", "equal", "wrong"]
        shown = [*((word, -1.3 - 0.3 * n) for n, word in enumerate(words)), ("...", -16.0)]
        return completion("praise", shown) if text_mode else chat("praise", shown)
    name = body.get("response_format", {}).get("json_schema", {}).get("name", "feedback_verdict")
    text = json.dumps(_verdict(name))
    return completion(text) if text_mode else chat(text)


def _claude(body: Any) -> Any:
    from tests.support.server import message

    return message(tool_input=_verdict(body["tools"][0]["name"]))


# ------------------------------------------------------------------ what is generated


def command_reference() -> str:
    """Return docs/reference/cli.md."""
    from typer.main import get_command

    from plaudit.cli.app import app

    lines = [
        "<!-- Generated by scripts/docs cli from src/plaudit/cli; not edited by hand. -->",
        "# Command line",
        "",
        "Every command, as its own `--help` describes it.",
        "",
    ]
    root = get_command(app)
    lines += _section("plaudit", root, 2)
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, command: Any, level: int) -> list[str]:
    from typer import Context

    subcommands = _subcommands(command)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    shown = command.get_params(Context(command))
    options = [p for p in shown if p.param_type_name == "option" and "--help" not in p.opts]
    usage = [name, "[OPTIONS]", *(_placeholder(a) for a in arguments)]
    lines = [f"{'#' * level} `{name}`", "", _prose(command.help or ""), ""]
    lines += ["```text", " ".join(usage + (["COMMAND"] if subcommands else [])), "```", ""]
    lines += _table("argument", [(f"`{_placeholder(a)}`", a) for a in arguments])
    for panel, group in itertools.groupby(options, lambda option: option.rich_help_panel):
        lines += _table(panel or "option", [(_flags(o), o) for o in group])
    for sub, inner in subcommands.items():
        lines += _section(f"{name} {sub}", inner, level if name == "plaudit" else level + 1)
    return lines


def _subcommands(command: Any) -> dict[str, Any]:
    from typer import Context

    context = Context(command)
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    return {name: command.get_command(context, name) for name in names}


def _prose(text: str) -> str:
    return re.sub(r"\n\n+", "\n\n", text.replace("\f", "")).strip()


def _placeholder(parameter: Any) -> str:
    return (parameter.metavar or parameter.name).strip("{}").upper()


def _flags(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    short = [o for o in option.opts if not o.startswith("--")]
    long = [o for o in option.opts if o.startswith("--")]
    return f"`{', '.join(short + long)}{value}`"


def _table(title: str, rows: list[tuple[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = [f"| {title} | meaning | default |", "|---|---|---|"]
    for shown, parameter in rows:
        text = (getattr(parameter, "help", "") or "").replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {shown} | {text} | {_default(parameter)} |")
    return [*lines, ""]


def _default(parameter: Any) -> str:
    value = parameter.default
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f"`{value}`" if plain and value != "" else ""


def picture(command: str = PICTURED) -> str:
    """Return an SVG of a real run, without the web fonts that rich would have fetched."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    with tempfile.TemporaryDirectory(prefix="plaudit-docs-") as folder:
        session = Session(Path(folder))
        color = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "TTY_INTERACTIVE": "0"}
        status, printed = session.shell(f"{command} 2>/dev/null", color)
    if status not in (0, 1):
        raise SystemExit("\n".join(printed))
    console = Console(record=True, width=int(COLUMNS), file=io.StringIO(), color_system="truecolor")
    console.print(Text.from_ansi("\n".join([f"$ {command}", *printed, ""])))
    style = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="plaudit", code_format=style, unique_id="plaudit")


def mkdocs(*args: str) -> int:
    """Run mkdocs."""
    env = os.environ | {"DISABLE_MKDOCS_2_WARNING": "true", "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", *args]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


def main(arguments: list[str]) -> int:
    """Do what the first argument says."""
    name, *rest = arguments or ["help"]
    chosen = [ROOT / page for page in rest] or pages()
    if name == "interpreter":
        interpreter()
    elif name == "cli":
        (DOCS / "reference" / "cli.md").write_text(command_reference(), encoding="utf-8")
    elif name in ("outputs", "check"):
        problems = [p for page in chosen for p in run_page(page, update=name == "outputs")]
        print("\n".join(problems) or "all is as shown")
        return bool(problems)
    elif name == "picture":
        (DOCS / "images").mkdir(exist_ok=True)
        (DOCS / "images" / "judge.svg").write_text(picture(), encoding="utf-8")
    elif name in ("build", "serve"):
        return mkdocs(name, *(["--strict", "--site-dir", "build/site"] if name == "build" else []))
    else:
        print(__doc__)
        return name != "help"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
