"""Sets from the Hugging Face hub, at one commit, so that a figure can be measured again."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from plaudit._util.packages import load_package
from plaudit.bench.catalog import DatasetFormat
from plaudit.errors import InputError, UsageError

_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubFolder(NamedTuple):
    """Files of a set in the hub's cache on this machine."""

    path: Path
    source: str
    """`OWNER/REPO@COMMIT`."""


def fetch_dataset(form: DatasetFormat, revision: str | None = None) -> HubFolder:
    """Fetch the files of a set, where they are not in the hub's cache.

    Args:
        form: of the set.
        revision: commit, branch or tag; None: the commit that the table of sets names, else the
            newest one. What is no commit is looked up first, so that the source names one.

    Raises:
        UsageError: the set is not on the hub.
        MissingDependencyError: `huggingface_hub` is not installed.
        InputError: the files cannot be fetched.
    """
    if form.hub is None:
        raise UsageError(f"{form.title} is not on the hub; it is {form.get}: give its files")
    repo = form.hub.repo
    hub = load_package("huggingface_hub", "hf")
    wanted = revision or form.hub.revision
    try:
        commit = _commit(hub, repo, wanted)
        folder = hub.snapshot_download(
            repo, repo_type="dataset", revision=commit, allow_patterns=list(form.hub.files)
        )
    except Exception as error:  # Its errors, and those of the HTTP library beneath, share no base.
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{repo} ({wanted or 'newest commit'}) cannot be fetched from the Hugging Face hub: "
            f"{why} Check the revision and the network, or download the files and give their folder"
        ) from error
    return HubFolder(Path(folder), f"{repo}@{commit}")


def _commit(hub: Any, repo: str, wanted: str | None) -> str:
    if wanted is not None and _COMMIT.fullmatch(wanted):
        return wanted
    return str(hub.HfApi().dataset_info(repo, revision=wanted).sha)
