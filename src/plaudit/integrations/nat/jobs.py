# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
"""What the customizer says of a job, in the toolkit's words."""

from typing import Any

from nat.data_models.finetuning import TrainingJobStatus, TrainingStatusEnum

from plaudit.errors import ServiceError

_STATUSES: dict[str, Any] = {
    "created": TrainingStatusEnum.PENDING,
    "pending": TrainingStatusEnum.PENDING,
    "running": TrainingStatusEnum.RUNNING,
    "cancelling": TrainingStatusEnum.RUNNING,
    "canceling": TrainingStatusEnum.RUNNING,
    "completed": TrainingStatusEnum.COMPLETED,
    "ready": TrainingStatusEnum.COMPLETED,
    "failed": TrainingStatusEnum.FAILED,
    "cancelled": TrainingStatusEnum.CANCELED,
    "canceled": TrainingStatusEnum.CANCELED,
}

ENDS = (TrainingStatusEnum.COMPLETED, TrainingStatusEnum.FAILED, TrainingStatusEnum.CANCELED)


def status_of(ref: Any, job_id: str, told: Any) -> Any:
    """Return a job's status.

    Raises:
        ServiceError: the service tells a status that has no meaning here, such as `unknown`.
    """
    status = _STATUSES.get(str(told.status).lower())
    if status is None:
        raise ServiceError(f"the status of job {job_id} is told as {told.status!r}")
    return TrainingJobStatus(
        run_id=ref.run_id,
        backend=ref.backend,
        status=status,
        progress=told.percentage_done,
        message=_message(told),
        metadata={
            "job_id": job_id,
            "nemo_status": told.status,
            "output_model": (ref.metadata or {}).get("output_model"),
        },
    )


def _message(told: Any) -> str:
    """Return what is told: status, epochs, and the last line of its log."""
    parts = [f"Status: {told.status}"]
    if told.epochs_completed is not None:
        parts.append(f"Epochs: {told.epochs_completed}")
    if told.status_logs:
        last = told.status_logs[-1]
        parts.extend(text for text in (last.message, last.detail) if text)
    return ", ".join(parts)
