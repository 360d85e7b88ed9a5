"""The file of an engine's model: of a known model, at a path, or on the Hugging Face hub."""

import threading
from functools import cached_property
from pathlib import Path

from plaudit._util.packages import load_package
from plaudit.engines.llama import models
from plaudit.engines.llama.cache import file_identity
from plaudit.engines.llama.catalogue import KnownModel, known_model
from plaudit.engines.llama.gguf import GGUF, read_gguf
from plaudit.engines.llama.replies import THINKING_SWITCH
from plaudit.engines.uri import EngineURI
from plaudit.errors import EngineUnusableError, UsageError

LOCAL_MODEL = "smollm2-135m-instruct"
"""The model of the engine `local`."""


class ModelFile:
    """The file of an engine URI's model, fetched and read on demand.

    Raises:
        UsageError: the URI names no model.
    """

    def __init__(
        self, uri: EngineURI, revision: str, progress: models.Progress | None = None
    ) -> None:
        self.known = _known(uri)
        """The model among those that plaudit knows, where the URI names one of them."""
        self._uri = uri
        self._revision = revision
        self._progress = progress

    @cached_property
    def metadata(self) -> GGUF:
        """The file's metadata: vocabulary, chat template and so on.

        Blocks: fetches the file where it is not in the cache, then reads its header (some 30 ms).

        Raises:
            EngineUnusableError: the file cannot be fetched or is no usable GGUF file.
        """
        try:
            metadata = read_gguf(self._path())
        except UsageError as error:
            raise EngineUnusableError(str(error)) from error
        if metadata.shards > 1:
            raise EngineUnusableError(
                f"{metadata.path} is one of {metadata.shards} files of a model. Join them first: "
                "llama-gguf-split --merge FIRST.gguf WHOLE.gguf"
            )
        return metadata

    def _path(self) -> Path:
        if self.known:
            return models.ensure(self.known, self._progress)
        if self._uri.scheme == "hf":
            return hub_file(self._uri.model, self._revision)
        return Path(self._uri.model).expanduser()

    def fetch(self, stop: threading.Event) -> None:
        """Fetch the file of a known model; ends soon after `stop` is set."""

        def report(done: int, total: int, label: str) -> None:
            if stop.is_set():
                raise EngineUnusableError("interrupted while the model was fetched")
            if self._progress:
                self._progress(done, total, label)

        if self.known:
            models.ensure(self.known, report)

    @property
    def digest(self) -> str:
        """SHA-256 of the file; that of a known model is pinned."""
        return self.known.sha256 if self.known else file_identity(self.metadata.path)

    @property
    def is_base(self) -> bool:
        """Whether the model has no chat template."""
        return self.known.base if self.known else self.metadata.is_base

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Texts that become special tokens wherever they stand in a prompt, longest first."""
        pinned = self.known.special_tokens if self.known else ()
        return pinned or self.metadata.vocabulary.special

    @property
    def template(self) -> str:
        """The chat template; empty for a base model."""
        return self.metadata.chat_template or ""

    @property
    def reasoning(self) -> bool:
        """Whether the model thinks before it answers in chat mode, and has no switch for that."""
        if self.known:
            return False
        return "<think>" in self.template and THINKING_SWITCH not in self.template


def _known(uri: EngineURI) -> KnownModel | None:
    """The known model that a URI names, if it is a `local` one."""
    if uri.scheme == "local":
        return known_model(uri.model or LOCAL_MODEL)
    if not uri.model or (uri.scheme == "hf" and uri.model.count("/") < 2):
        form = {"gguf": "gguf:PATH", "hf": "hf:OWNER/REPO/FILE.gguf"}[uri.scheme]
        raise UsageError(f"{uri} names no file; write {form}")
    return None


def hub_file(name: str, revision: str = "main") -> Path:
    """Return a file of the Hugging Face hub, downloaded where it is not in the hub's cache.

    A file that is in the hub's cache is taken as it is, without asking the hub for a newer one.

    Args:
        name: `OWNER/REPO/FILE.gguf`; the file may be in a folder.
        revision: branch, tag or commit.

    Raises:
        UsageError: the name is not of that form.
        MissingDependencyError: `huggingface_hub` is not installed.
        EngineUnusableError: the file cannot be fetched.
    """
    owner, _, rest = name.partition("/")
    repo, _, file = rest.partition("/")
    if not (owner and repo and file):
        raise UsageError(f"hf:{name} names no file; write hf:OWNER/REPO/FILE.gguf")
    hub = load_package("huggingface_hub", "hf")
    try:
        cached = hub.try_to_load_from_cache(f"{owner}/{repo}", file, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        return Path(hub.hf_hub_download(f"{owner}/{repo}", file, revision=revision))
    except Exception as error:  # Its errors, and those of the HTTP library beneath, share no base.
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        raise EngineUnusableError(
            f"{file} of {owner}/{repo} ({revision}) cannot be fetched from the Hugging Face hub: "
            f"{why} Check the name and revision, the network, and HF_TOKEN for a gated model; or "
            "copy the file here and name it as gguf:PATH"
        ) from error
