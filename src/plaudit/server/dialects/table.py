"""The dialects that there are. A new one is one file and one line here."""

from collections.abc import Mapping

from plaudit.server.dialects.base import Dialect
from plaudit.server.dialects.llama_factory import LLAMA_FACTORY
from plaudit.server.dialects.nemo_gym import NEMO_GYM
from plaudit.server.dialects.openrlhf import OPENRLHF
from plaudit.server.dialects.slime import SLIME
from plaudit.server.dialects.vllm import VLLM
from plaudit.server.native import NATIVE

DIALECTS: Mapping[str, Dialect] = {
    one.name: one for one in (NATIVE, OPENRLHF, SLIME, LLAMA_FACTORY, NEMO_GYM, VLLM)
}
"""By name, `native` the first."""
