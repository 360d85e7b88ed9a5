"""The table of trainers: how each gets its rewards. A new adapter or dialect is one line here."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.support.equality import in_process, over_http, rl_trainers
from tests.support.equality.rows import Row, Values


class Way(NamedTuple):
    """How one trainer gets its rewards."""

    score: Callable[[Any, Sequence[Row]], Awaitable[Values]]
    """Takes the path of a specification, or with `dialect` a `Served`; and rows. None: unscored."""
    dialect: str | None = None
    """Of the server; None: in process."""
    reference: bool = True
    """Whether the trainer hands over the references."""
    chats: bool = False
    """Whether the trainer hands over messages, with calls and results of tools."""


WAYS: Mapping[str, Way] = {
    "TRL, texts": Way(in_process.trl),
    "TRL, chats": Way(in_process.trl_chats, chats=True),
    "TRL, a URL": Way(over_http.trl, "native", chats=True),
    "verl, function": Way(rl_trainers.verl),
    "verl, manager": Way(rl_trainers.verl_manager, chats=True),
    "verl, manager with masks": Way(rl_trainers.verl_manager_masked, chats=True),
    "verifiers": Way(in_process.verifiers, chats=True),
    "ART": Way(in_process.art, chats=True),
    "SkyRL": Way(in_process.skyrl),
    "rLLM, evaluator": Way(in_process.rllm, chats=True),
    "rLLM, reward function": Way(in_process.rllm_function),
    "tinker, groups": Way(in_process.tinker),
    "tinker, histories": Way(in_process.tinker_history, chats=True),
    "OpenRLHF": Way(rl_trainers.openrlhf),
    "slime, samples": Way(rl_trainers.slime),
    "slime, groups": Way(rl_trainers.slime_groups, chats=True),
    "AReaL": Way(rl_trainers.areal),
    "NeMo Gym": Way(rl_trainers.nemo_gym, chats=True),
    "NeMo RL": Way(rl_trainers.nemo_rl),
    "server, native": Way(over_http.native, "native", chats=True),
    "server, OpenRLHF": Way(over_http.openrlhf, "openrlhf"),
    "server, slime": Way(over_http.slime, "slime"),
    "server, NeMo Gym": Way(over_http.nemo_gym, "nemo-gym", chats=True),
    "server, LLaMA-Factory": Way(over_http.llama_factory, "llama-factory", reference=False),
    "server, vLLM /score": Way(over_http.vllm_score, "vllm", reference=False),
    "server, vLLM /classify": Way(over_http.vllm_classify, "vllm", reference=False),
}
