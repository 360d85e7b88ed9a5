import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from plaudit._util import disk
from plaudit.errors import StoreError
from plaudit.io.partial import PartialFile, PartialFolder, write_json


def test_json_is_written_whole_and_read_back(tmp_path):
    out = tmp_path / "out.json"
    out.write_text("old")
    write_json(out, {"ä": [1.5, None]})
    assert json.loads(out.read_text()) == {"ä": [1.5, None]}
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_place_that_cannot_be_written_is_told_and_left_alone(tmp_path):
    with pytest.raises(StoreError, match=r"w\.json could not be written"):
        write_json(tmp_path / "none" / "w.json", {})
    assert list(tmp_path.iterdir()) == []


def write_folder(out: Path, text: str) -> None:
    folder = PartialFolder(out)
    try:
        for name in ("a.jsonl", "sub/b.jsonl"):
            folder.open(name).write(text.encode())
        folder.commit()
    finally:
        folder.abort()


def test_defect_51_a_reader_sees_the_old_folder_or_the_new_one_never_none(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_folder(out, "0")
    done, missing = threading.Event(), list[str]()

    def look() -> None:
        while not done.is_set():
            if not (out / "sub/b.jsonl").exists():
                missing.append("b")

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(1, 60):
        write_folder(out, str(number))
        held = os.open(out, os.O_RDONLY)  # One folder, whatever is put in its place meanwhile.
        texts = {os.read(os.open(name, os.O_RDONLY, dir_fd=held), 9) for name in ("a.jsonl",)}
        assert texts == {str(number).encode()}
        os.close(held)
    done.set()
    reader.join()
    assert missing == []
    assert os.listdir(tmp_path) == ["out"]


def test_where_folders_cannot_be_exchanged_two_steps_do_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "exchange", lambda one, other: False)
    for text in ("old", "new"):
        write_folder(tmp_path / "out", text)
    assert (tmp_path / "out/sub/b.jsonl").read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


def test_what_a_folder_holds_besides_is_taken_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "deep/mine").write_text("mine")
    (out / "old.jsonl").write_text("old")
    (out / "link").symlink_to("deep/mine")
    folder = PartialFolder(out)
    folder.open("new.jsonl").write(b"new")
    folder.take_over(lambda name: name == "old.jsonl")
    folder.commit()
    assert sorted(os.listdir(out)) == ["deep", "link", "new.jsonl"]
    assert (out / "link").is_symlink()
    assert (out / "link").read_text() == "mine"


def plant_link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def plant_second_name(path: Path, target: Path) -> None:
    path.hardlink_to(target)


def plant_pipe(path: Path, target: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [plant_link, plant_second_name, plant_pipe])
def test_defect_54_what_was_planted_for_a_partial_file_is_never_written(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    plant(tmp_path / ".out.json.partial", precious)
    write_json(tmp_path / "out.json", 1)
    assert precious.read_text() == "mine"
    assert (tmp_path / "out.json").read_text() == "1\n"
    assert not (tmp_path / "out.json").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["out.json", "precious"]


def test_defect_54_planted_links_for_a_folder_are_removed_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("mine")
    for name in (".out.new", ".out.old", ".out.lock"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    write_folder(tmp_path / "out", "text")
    assert (tmp_path / "precious/file").read_text() == "mine"
    assert not (tmp_path / "out").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["out", "precious"]


@pytest.mark.parametrize("out", ["/dev/null", "folder"])
def test_defect_54_nothing_takes_the_place_of_a_device_or_a_folder(
    tmp_path: Path, out: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="is no regular file"):
        PartialFile(tmp_path / out)
    assert not Path("/dev/null").is_file()
    assert os.listdir(tmp_path) == ["folder"]


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    write_json(tmp_path / "link", 2)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "2\n"
