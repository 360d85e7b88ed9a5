# pyright: reportMissingImports=false, reportUntypedBaseClass=false, reportUnknownVariableType=false
# pyright: reportGeneralTypeIssues=false, reportCallIssue=false
"""What can be set: the keys and defaults of the toolkit's own DPO components, under other names."""

from typing import Literal

from nat.data_models.finetuning import TrainerAdapterConfig, TrajectoryBuilderConfig
from pydantic import BaseModel, Field, ValidationInfo, field_validator

from plaudit.engines.uri import check_base_url


class PairTrajectoriesConfig(TrajectoryBuilderConfig, name="plaudit_dpo_traj_builder"):
    """Which steps are candidates, and which of them make a pair."""

    ttc_step_name: str = Field(
        default="dpo_candidate_move",
        description="Name of the steps that are candidates: TTC_END events of this name.",
    )
    exhaustive_pairs: bool = Field(
        default=True,
        description="Whether each two candidates of a turn are a pair, or only the best and the "
        "worst.",
    )
    min_score_diff: float = Field(
        default=0.0,
        ge=0.0,
        allow_inf_nan=False,
        description="Least difference of scores. Equal scores never make a pair.",
    )
    max_pairs_per_turn: int | None = Field(
        default=None,
        ge=1,
        description="Most pairs a turn, those of the widest difference; null: all.",
    )
    reward_from_score_diff: bool = Field(
        default=True,
        description="Whether a trajectory's reward is the difference, or the chosen score.",
    )
    require_multiple_candidates: bool = Field(
        default=True,
        description="Whether turns with fewer than two candidates are counted as skipped. They "
        "make no pair in either case.",
    )


class DPOHyperparameters(BaseModel):
    """What only DPO has."""

    ref_policy_kl_penalty: float = Field(
        default=0.1, ge=0.0, description="Weight of the divergence from the reference model."
    )
    preference_loss_weight: float = Field(
        default=1.0, ge=0.0, description="Weight of the preference loss."
    )
    preference_average_log_probs: bool = Field(
        default=False,
        description="Whether log-probabilities are averaged over a response, or summed.",
    )
    sft_loss_weight: float = Field(
        default=0.0, ge=0.0, description="Weight of a supervised loss on the chosen response."
    )


class Hyperparameters(BaseModel):
    """Training parameters for NeMo Customizer."""

    training_type: Literal["sft", "dpo"] = Field(default="dpo", description="How it is trained.")
    finetuning_type: Literal["lora", "all_weights"] = Field(
        default="all_weights", description="Whether adapters or all weights are trained."
    )
    epochs: int = Field(default=3, ge=1, description="Passes over the training file.")
    batch_size: int = Field(default=4, ge=1, description="Pairs a step.")
    learning_rate: float = Field(default=5e-5, gt=0.0, description="The optimizer's step size.")
    dpo: DPOHyperparameters = Field(
        default_factory=DPOHyperparameters, description="What only DPO has."
    )


class NIMDeployment(BaseModel):
    """How the trained model is served; read where `deploy_on_completion` is set."""

    image_name: str = Field(
        default="nvcr.io/nim/nvidia/nemotron-3.5-lightning-30b-a3b", description="The NIM's image."
    )
    image_tag: str = Field(default="latest", description="The image's tag.")
    gpu: int = Field(default=1, ge=1, description="How many GPUs it gets.")
    deployment_name: str | None = Field(
        default=None, description="The deployment's name; null: one made of the run id."
    )
    description: str = Field(
        default="Fine-tuned model deployment", description="What the services show of it."
    )


class CustomizerAdapterConfig(TrainerAdapterConfig, name="plaudit_nemo_customizer_trainer_adapter"):
    """Where the services are, what is trained, and how the job is watched."""

    entity_host: str = Field(description="Base URL of the NeMo services' API.")
    datastore_host: str = Field(description="Base URL of NeMo Data Store.")
    hf_token: str = Field(
        default="", repr=False, description="Token for the data store; empty: none is needed."
    )
    namespace: str = Field(description="Namespace of data sets, models and deployments.")
    dataset_name: str = Field(
        default="nat-dpo",
        description="What the names of data sets start with; the run id follows, so that each run "
        "has its own.",
    )
    dataset_output_dir: str | None = Field(
        default=None,
        description="Folder in which the files are kept, one folder a run; null: they are "
        "deleted once they are uploaded.",
    )
    create_namespace_if_missing: bool = Field(
        default=True, description="Whether a missing namespace is made in both stores."
    )
    customization_config: str = Field(
        description="What is trained where, such as meta/llama-3.2-1b-instruct@v1.0.0+A100."
    )
    hyperparameters: Hyperparameters = Field(
        default_factory=Hyperparameters, description="Training parameters of the job."
    )
    use_full_message_history: bool = Field(
        default=False,
        description="Whether a prompt is written as its messages, or as the text of the last one.",
    )
    deploy_on_completion: bool = Field(
        default=False, description="Whether the trained model is deployed."
    )
    deployment_config: NIMDeployment = Field(
        default_factory=NIMDeployment, description="How it is deployed."
    )
    poll_interval_seconds: float = Field(
        default=30.0, gt=0.0, description="Seconds between two questions about a job."
    )
    deployment_timeout_seconds: float = Field(
        default=1800.0, gt=0.0, description="Seconds within which a deployment must be ready."
    )
    max_consecutive_status_failures: int = Field(
        default=3,
        ge=1,
        le=10,
        description="How many questions in a row may go unanswered before the job is given up.",
    )

    @field_validator("entity_host", "datastore_host")
    @classmethod
    def _is_url(cls, host: str, info: ValidationInfo) -> str:
        """Refuse what is no URL or holds a password; pydantic's own error would show it."""
        return check_base_url(host, str(info.field_name))
