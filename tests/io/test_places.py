"""Outputs that would take the place of what a command reads, or of what is not a file."""

import os
from pathlib import Path

import pytest

from plaudit.errors import UsageError
from plaudit.io.places import check_not_read, check_output


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("{}")
    return path


def other_spelling(source: Path) -> str:
    return f"{source.parent}/./../{source.parent.name}/{source.name}"


def link_to(source: Path) -> str:
    link = source.with_name("link.jsonl")
    link.symlink_to(source)
    return str(link)


def second_name(source: Path) -> str:
    name = source.with_name("second.jsonl")
    name.hardlink_to(source)
    return str(name)


@pytest.mark.parametrize("spelt", [str, other_spelling, link_to, second_name])
def test_defect_34_an_output_that_is_the_input_is_refused(source: Path, spelt) -> None:
    with pytest.raises(UsageError, match="is also read by this command"):
        check_output(spelt(source), ["gone.jsonl", {"deep": [str(source)]}])


@pytest.mark.parametrize("engine", ["scripted:{}", "gguf:{}"])
def test_defect_34_files_of_engines_are_inputs_too(source: Path, engine: str) -> None:
    with pytest.raises(UsageError, match="is also read by this command"):
        check_output(source, [engine.format(source)])


def test_defect_34_rejected_rows_never_go_to_an_input(tmp_path: Path) -> None:
    source = tmp_path / "in.rejected.jsonl"
    source.write_text("{}")
    with pytest.raises(UsageError, match=r"in\.rejected\.jsonl is read by this command, and rows"):
        check_output(tmp_path / "in.jsonl", [str(source)])


def test_defect_34_an_input_in_a_folder_that_would_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    source = tmp_path / "folder/deep/in.jsonl"
    source.write_text("{}")
    with pytest.raises(UsageError, match="would replace the folder"):
        check_not_read(tmp_path / "folder", [str(source)])


def test_defect_34_standard_input_from_the_output(source: Path) -> None:
    held = os.dup(0)
    try:
        with source.open() as file:
            os.dup2(file.fileno(), 0)
        with pytest.raises(UsageError, match="is also read by this command"):
            check_output(source, ["-"])
        check_output(source.with_name("out.jsonl"), ["-"])
    finally:
        os.dup2(held, 0)
        os.close(held)


def test_other_outputs_are_fine(source: Path) -> None:
    for out in ("-", "/dev/null", source.with_name("out.jsonl")):
        check_output(out, [str(source), "-", "local", "a\0b", "x" * 5000, None, 3])


def test_defect_54_a_device_is_refused_where_a_file_takes_its_place() -> None:
    with pytest.raises(UsageError, match="is no regular file"):
        check_output("/dev/null", replaces=True)
