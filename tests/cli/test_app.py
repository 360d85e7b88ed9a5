"""The command line as a whole: what it shows without a command, its list of commands, mistakes."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from plaudit.cli.app import JOBS, app
from tests.support.benching import always
from tests.support.command import EXAMPLES, Here

HEAVY = ("numpy", "aiohttp", "jinja2", "plaudit.judges", "plaudit.runs")
TEXTS = ("intent", "checklist", "strengths", "weaknesses")
FILES = {
    "chats.jsonl": "feedback.jsonl",
    "answers.jsonl": "pointwise.jsonl",
    "answer-pairs.jsonl": "pairwise.jsonl",
    "solutions.jsonl": "verify.jsonl",
    "questions.jsonl": "questions.jsonl",
    "labelled.jsonl": "verify.jsonl",
}
"""What stands for the files that the examples name."""
REPLIES = {
    "judge feedback": {"rationale": "Thanks.", "label": "pos_praise", "confidence": 0.9},
    "judge pointwise": {"score": 8} | dict.fromkeys(TEXTS, ""),
    "judge pairwise": "pairwise.jsonl",
    "rollout": "agent.jsonl",
}
"""What stands for the embedded model, which other tests and the docs ask: a reply, or a script."""


def test_alone_it_shows_the_jobs_with_examples(tmp_path: Path) -> None:
    done = Here(tmp_path)()
    assert done.status == 2
    titles = [line for line in JOBS.splitlines() if re.fullmatch(r"[A-Z][a-z ]+", line)]
    assert len(titles) == 6
    assert all(title in done.stdout for title in titles)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_each_of_its_examples_runs(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(EXAMPLES / "expedition.md", tmp_path / "docs")
    for name, example in FILES.items():
        shutil.copy(EXAMPLES / example, tmp_path / name)
    plaudit = Here(tmp_path / "home", folder=tmp_path)
    for line in re.findall(r"^    plaudit (.*)$", JOBS, flags=re.MULTILINE):
        if line.startswith("pairs"):  # The embedded model's own scores may all be alike.
            shutil.copy(EXAMPLES / "candidates.jsonl", tmp_path / "scores.jsonl")
        done = plaudit(*shlex.split(line), *_scripted(line, tmp_path))
        assert done.status in (0, 1), (line, done.stderr)


def _scripted(line: str, folder: Path) -> list[str]:
    """Options that name the script of a command that would ask the embedded model."""
    for command, reply in REPLIES.items():
        if line.startswith(command):
            named = isinstance(reply, str)
            own = f"scripted:{EXAMPLES / 'replies' / reply}" if named else None
            return ["-e", own or always(json.dumps(reply), folder / "script.jsonl"), "--limit", "2"]
    return []


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = (
        "import sys\nfrom plaudit.cli import main\nsys.argv = ['plaudit', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Judge conversations" in done.stdout


@pytest.mark.parametrize("name", ["judge", "rollout"])
def test_each_option_stands_in_a_panel_of_the_help(name: str) -> None:
    shown = CliRunner().invoke(app, [name, "--help"]).stdout
    assert "─ Options ─" not in shown
    panels = re.findall(r"^╭─ (\w+) ─", shown, flags=re.MULTILINE)
    assert panels[:3] == ["Arguments", "Input", "Engine"]
    assert panels[-2:] == ["Store", "Output"]


def test_a_mistyped_command_is_corrected(tmp_path: Path) -> None:
    done = Here(tmp_path)("jugde")
    assert done.status == 2
    assert "judge" in done.stderr.partition("jugde")[2]


def test_a_command_names_no_option_twice() -> None:
    root = get_command(app)
    for name in root.list_commands(None):  # type: ignore[attr-defined, arg-type]
        command = root.get_command(None, name)  # type: ignore[attr-defined, arg-type]
        flags = [flag for one in command.params for flag in one.opts]
        assert len(flags) == len(set(flags)), name
