"""The formats, by name."""

from collections.abc import Callable

from plaudit.errors import UsageError
from plaudit.preferences.export.arrow import DatasetsFolder
from plaudit.preferences.export.axolotl import Axolotl
from plaudit.preferences.export.base import Format
from plaudit.preferences.export.llama_factory import LlamaFactory
from plaudit.preferences.export.nemo import NemoCustomizer, NemoRl
from plaudit.preferences.export.openrlhf import OpenRlhf
from plaudit.preferences.export.trl import TrlDpo, TrlKto, TrlReward, TrlSft

FORMATS: dict[str, Callable[[], Format]] = {
    "trl-dpo": TrlDpo,
    "trl-kto": TrlKto,
    "trl-reward": TrlReward,
    "trl-sft": TrlSft,
    "nemo-customizer": NemoCustomizer,
    "nemo-rl": NemoRl,
    "openrlhf": OpenRlhf,
    "llama-factory": LlamaFactory,
    "axolotl": Axolotl,
    "datasets": DatasetsFolder,
}


def load_format(name: str) -> Format:
    """Return a format, ready for one export.

    Raises:
        UsageError: there is none of that name.
    """
    made = FORMATS.get(name)
    if made is None:
        raise UsageError(f"unknown format {name!r}: give one of {', '.join(FORMATS)}")
    return made()
