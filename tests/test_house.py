"""The figures of the house: each count is right on a tree small enough to count by hand."""

from pathlib import Path

import pytest
from scripts import house

MODULES = {
    "engines/base.py": """
class Engine:
    def open(self): ...
    def close(self): ...

class _Same: ...

def ask(engine):
    return getattr(engine, "notes", ())
""",
    "judges/base.py": """
class Task:
    def __init__(self, config, gate=None, *, votes=1):
        self.config = config
        self.gate, self._votes = gate, votes
        config.other = self.gate

    @property
    def name(self): ...

    @name.setter
    def name(self, value): ...

class Verdict:
    class _Same: ...
""",
    "judges/load.py": """
from plaudit.engines.base import Engine

class Verdict: ...

def told(engine, task):
    getattr(engine, "notes", ())
    hasattr(task.engine, "notes")
    getattr(task, "engine")
    isinstance(task._engine, Engine | str)
    isinstance(engine, str)
    return isinstance(task, Engine)
""",
    "judges/answers/text.py": "ONE = 1\nTWO = 2\n",
}
TESTS = """
class Tests:
    def test_reads(self, judge):
        assert judge._runtime

    def test_has_its_own(self):
        assert self._judge

def test_patches(monkeypatch):
    monkeypatch.setattr("plaudit.engines.pool._WAIT", 1)

def test_patches_an_object(monkeypatch, pool):
    monkeypatch.setattr(pool, "_wait", 1)

def test_is_clean(monkeypatch, row, os):
    monkeypatch.setattr("plaudit.engines.pool.WAIT", 1)
    os._exit(row._replace(a=1).__class__)

def helper(judge):
    judge._runtime
"""
PAGE = """# A title of some words that is no sentence at all

One two three four. Five six (seven, [eight](nine/ten/eleven.md)) twelve `a b`.
It goes on
over lines: In vain.

- An item with five words
- Another item

| a table | of many words that are not counted at all |

```python
from plaudit.judges.load import told
import plaudit.rollouts as rollouts
```
"""


@pytest.fixture
def tree(tmp_path: Path) -> house.Tree:
    files = {f"src/plaudit/{name}": text for name, text in MODULES.items()}
    files |= {"tests/test_it.py": TESTS, "README.md": PAGE, "docs/cli.md": PAGE * 3}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return house.Tree(tmp_path)


def test_modules_and_lines_are_counted_by_folder_and_without_the_new_ones(tree: house.Tree) -> None:
    found = house.sizes(tree)
    assert found["judges"] == (3, 15 + 12 + 2)
    assert found["engines"] == (1, 9)
    assert found["all"] == (4, 38)
    assert found["old"] == (3, 36)
    assert house.long_modules(tree, 9) == ["judges/base.py 15", "judges/load.py 12"]


def test_methods_and_attributes_are_counted(tree: house.Tree) -> None:
    assert house.long_classes(tree, 1) == [
        (2, "Task (judges/base.py): 2, 3 attributes"),
        (2, "Engine (engines/base.py): 2, 0 attributes"),
    ]
    assert house.long_classes(tree, 2) == []


def test_names_in_more_modules_than_one_are_found(tree: house.Tree) -> None:
    assert house.shared_names(tree) == (["Verdict"], ["_Same"])


def test_questions_to_engines_are_found_outside_of_engines(tree: house.Tree) -> None:
    asked, typed = house.engine_questions(tree)
    assert asked == ["judges/load.py:7", "judges/load.py:8"]
    assert typed == ["judges/load.py:10"]


def test_circles_are_groups_of_two_and_more() -> None:
    edges = {"a": ["b"], "b": ["c"], "c": ["b", "d"], "d": [], "e": ["f"], "f": ["g"], "g": ["e"]}
    assert sorted(house.circles(edges)) == [["b", "c"], ["e", "f", "g"]]


def test_the_longest_signature_is_counted(tree: house.Tree) -> None:
    assert house.most_parameters(tree.parsed[tree.source / "judges/base.py"]) == 4


def test_imports_of_pages_are_found(tree: house.Tree) -> None:
    assert house.imported_in_pages(tree) == ["plaudit.judges.load", "plaudit.rollouts"]


def test_tests_with_private_attributes_are_found(tree: house.Tree) -> None:
    assert [name.partition("::")[2] for name in house.private_tests(tree)] == [
        "test_patches", "test_patches_an_object", "test_reads",
    ]  # fmt: skip


def test_words_of_the_dialect_are_counted() -> None:
    found = house.dialect(["He told, untold; be_told", "TOLD in vain: it can be had at hand"])
    assert {word: count for word, count in found.items() if count} == {
        "told": 3, "untold": 1, "be had": 1, "in vain": 1, "at hand": 1,
    }  # fmt: skip


def test_sentences_are_counted_without_code_tables_and_titles(tree: house.Tree) -> None:
    found = house.sentences(PAGE)
    assert [house.words(sentence) for sentence in found] == [4, 7, 5, 2, 5, 2]
    assert house.long_sentences(tree, 5) == [
        "README.md: Five six (seven, [eight](nine/ten/eleven.md)) twelve `a b`."
    ]


def test_only_functions_that_are_called_more_often_make_a_file_grow() -> None:
    first, second = ask.__code__, ask_again.__code__
    assert house.growing_files({first: 2, second: 2}, {first: 2, second: 2}) == []
    assert house.growing_files({first: 2}, {first: 2, second: 1}) == [__file__]


def test_calls_of_a_folder_are_counted_in_all_threads() -> None:
    found = house.profiled(ask_again, Path(__file__).parent)
    assert found[ask.__code__] == 2
    assert set(found) == {ask.__code__, ask_again.__code__}


def ask() -> None:
    """Do nothing."""


def ask_again() -> None:
    import threading

    ask()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
