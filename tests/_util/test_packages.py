"""Optional packages: loaded when needed, and named when missing."""

import subprocess
import sys

import pytest

from plaudit._util.packages import load_package
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
