import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.integrations.nat.names import LONGEST, dataset_name, file_name

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc",
    "a/b",
    "/abs",
    "a\\b",
    "x" * 300,
    "\n",
    "a\0b",
    "é",
    "-a",
    "a.",
]


def test_D5_names_are_kept_where_they_are_safe_and_differ_where_not() -> None:
    assert file_name("nemo_dpo_1a2b_run0") == "nemo_dpo_1a2b_run0"
    assert len({file_name(one) for one in HOSTILE}) == len(HOSTILE)


@given(st.text() | st.sampled_from(HOSTILE))
def test_D5_any_run_id_is_a_safe_part_of_a_path(run_id: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", file_name(run_id))


@given(st.sampled_from(["nat-dpo", "", "A b", "-"]), st.text(), st.sampled_from(["s", "n" * 60]))
def test_D7_data_sets_have_names_that_the_hub_takes(prefix: str, run_id: str, space: str) -> None:
    validators = pytest.importorskip("huggingface_hub.utils")
    name = dataset_name(prefix, run_id, space)
    assert len(f"{space}/{name}") <= LONGEST
    validators.validate_repo_id(f"{space}/{name}")


def test_D7_each_run_has_a_data_set_of_its_own() -> None:
    assert dataset_name("nat-dpo", "nemo_dpo_1a2b", "space") == "nat-dpo-nemo_dpo_1a2b"
    ids = [*HOSTILE, "a..b", "a--b", "a.git", "x" * 301]
    assert len({dataset_name("nat-dpo", one, "space") for one in ids}) == len(ids)
