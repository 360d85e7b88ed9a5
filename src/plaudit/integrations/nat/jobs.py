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


def status_of(ref: Any, job_id: str, reported: Any) -> Any:
    """Return a job's status.

    Raises:
        ServiceError: the service reports a status without a meaning here, such as `unknown`.
    """
    status = _STATUSES.get(str(reported.status).lower())
    if status is None:
        raise ServiceError(f"the service reports the status {reported.status!r} for job {job_id}")
    return TrainingJobStatus(
        run_id=ref.run_id,
        backend=ref.backend,
        status=status,
        progress=reported.percentage_done,
        message=_message(reported),
        metadata={
            "job_id": job_id,
            "nemo_status": reported.status,
            "output_model": (ref.metadata or {}).get("output_model"),
        },
    )


def _message(reported: Any) -> str:
    """Return what is known: status, epochs, and the last line of its log."""
    parts = [f"Status: {reported.status}"]
    if reported.epochs_completed is not None:
        parts.append(f"Epochs: {reported.epochs_completed}")
    if reported.status_logs:
        last = reported.status_logs[-1]
        parts.extend(text for text in (last.message, last.detail) if text)
    return ", ".join(parts)
