# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false
"""What the toolkit loads by its entry point: the two components, under names of plaudit's own."""

from collections.abc import AsyncIterator
from typing import Any

from nat.cli.register_workflow import register_trainer_adapter, register_trajectory_builder

from plaudit.integrations.nat.adapter import CustomizerAdapter
from plaudit.integrations.nat.builder import PairTrajectories
from plaudit.integrations.nat.config import CustomizerAdapterConfig, PairTrajectoriesConfig


@register_trajectory_builder(config_type=PairTrajectoriesConfig)
async def plaudit_dpo_traj_builder(
    config: PairTrajectoriesConfig, builder: Any
) -> AsyncIterator[PairTrajectories]:
    """Yield the trajectory builder."""
    yield PairTrajectories(trajectory_builder_config=config)


@register_trainer_adapter(config_type=CustomizerAdapterConfig)
async def plaudit_nemo_customizer_trainer_adapter(
    config: CustomizerAdapterConfig, builder: Any
) -> AsyncIterator[CustomizerAdapter]:
    """Yield the trainer adapter."""
    yield CustomizerAdapter(adapter_config=config)
