"""Outcomes of comparisons are kept in the store, and found by another process."""

from pathlib import Path

from plaudit.runs.judging import StoredOutcomes
from plaudit.store.store import Store


def test_an_outcome_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    path, key = tmp_path / "store.sqlite", bytes(range(32))
    with Store(path) as store:
        outcomes = StoredOutcomes(store)
        assert outcomes.get(key) is None
        outcomes.put(key, b'{"relation":"open"}')
        assert outcomes.get(key) == b'{"relation":"open"}'
    with Store(path) as store:
        assert StoredOutcomes(store).get(key) == b'{"relation":"open"}'
        assert StoredOutcomes(store).get(bytes(32)) is None
