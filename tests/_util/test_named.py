from pathlib import Path

import pytest

from plaudit._util.named import load_named
from plaudit.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my tools.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class Place:\n"
        "    name: 'str'\n"
        "    def search(self): return self.name\n"
        "count = 3\n"
        "def find() -> str:\n"
        "    return 'found'\n"
    )
    return path


def test_a_module_and_a_file_are_imported(file: Path) -> None:
    assert load_named("json:dumps")({}) == "{}"
    assert load_named("pathlib:Path.cwd")() == Path.cwd()
    assert load_named(f"{file}:find")() == "found"
    assert load_named(f"{file}:Place.search").__name__ == "search"


def test_a_file_is_imported_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = load_named(f"{file}:Place")
    monkeypatch.chdir(file.parent)
    assert load_named(f"{file.name}:Place") is place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("find", "write module:name or path/to/file.py:name"),
        ("json:", "write module:name"),
        (":find", "write module:name"),
        ("no_such_module:find", "no module 'no_such_module'; for a file write path/to/no_such_mod"),
        ("json.no_such:find", "no module 'json.no_such'"),
        ("json:no_such", "json has no 'no_such'; it has JSONDecodeError, JSONDecoder"),
        ("no/such.py:find", "there is no file no/such.py"),
    ],
)
def test_what_names_nothing_is_said(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_named(text)


def test_code_that_raises_is_said_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("raise ValueError('not today')")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"broken\.py raises ValueError: not today"):
            load_named(f"{path}:find")
    path.write_text("def find(:")
    with pytest.raises(UsageError, match="SyntaxError"):
        load_named(f"{path}:find")
    path.write_text("import no_such_thing")
    with pytest.raises(UsageError, match="No module named 'no_such_thing'"):
        load_named(f"{path}:find")
