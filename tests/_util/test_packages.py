"""Optional packages: loaded when needed, and named when missing."""

import importlib
import subprocess
import sys

import pytest

from plaudit._util.packages import DeferredModule, load_package
from plaudit.errors import MissingDependencyError


def test_R8_importing_loads_no_index_and_no_package() -> None:
    code = (
        "import sys\n"
        "import plaudit.corpus, plaudit.corpus.questions, plaudit.cli.corpus\n"
        "heavy = {'numpy', 'bm25s', 'markdown_it', 'selectolax', 'pypdf', 'wordllama', 'datasets',"
        " 'tokenizers'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


@pytest.mark.parametrize("extra", ["corpus", "embeddings"])
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    with pytest.raises(MissingDependencyError) as caught:
        load_package("markdown_it", extra)
    assert (
        f"markdown-it-py is not installed. Install it with: pip install 'plaudit[{extra}]'"
        in str(caught.value)
    )


@pytest.mark.parametrize(
    ("command", "unused"),
    [
        ("judge", "plaudit.judges.answers.decision"),
        ("rollout", "plaudit.judges.answers.decision"),
        ("pairs", "plaudit.judges.load"),
        ("export", "plaudit.judges.load"),
    ],
)
def test_a_command_starts_without_what_it_may_never_use(command: str, unused: str) -> None:
    code = f"import sys\nimport plaudit.cli.{command}\nprint({unused!r} in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_deferred_module_is_the_module() -> None:
    deferred = DeferredModule("plaudit.judges.answers.decision")
    assert deferred.decide is importlib.import_module("plaudit.judges.answers.decision").decide
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = deferred.no_such_name
