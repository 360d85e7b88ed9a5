# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
"""Jobs of the customizer in the toolkit's words, and the deployment of what they trained."""

import asyncio
import logging
import time
from functools import partial
from typing import Any

from nat.data_models.finetuning import TrainingJobStatus, TrainingStatusEnum

from plaudit._util.aio import aside
from plaudit.errors import ServiceError
from plaudit.integrations.nat.config import CustomizerAdapterConfig

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


_log = logging.getLogger(__name__)

_READY, _BROKEN = {"ready"}, {"failed", "error", "cancelled"}


async def deploy(nemo: Any, config: CustomizerAdapterConfig, run: str, model: str) -> None:
    """Deploy a model and wait until it is ready.

    Args:
        nemo: the client of NeMo's services.
        config: what to deploy where, and for how long to wait.
        run: the run id, as part of names.
        model: what the job calls its output.

    Raises:
        ServiceError: it cannot be deployed, failed, or was not ready in time.
    """
    name = config.deployment_config.deployment_name or f"nat-deployment-{run}"
    try:
        await aside(partial(_create, nemo, config, run, name, model))
    except Exception as error:
        raise ServiceError(f"model {model!r} was trained, but not deployed: {error}") from error
    await _until_ready(nemo, config, name)


def _create(nemo: Any, config: CustomizerAdapterConfig, run: str, name: str, model: str) -> None:
    wanted = config.deployment_config
    made = nemo.deployment.configs.create(
        name=f"nat-deploy-config-{run}",
        namespace=config.namespace,
        description=wanted.description,
        model=model,
        nim_deployment={
            "image_name": wanted.image_name,
            "image_tag": wanted.image_tag,
            "gpu": wanted.gpu,
        },
    )
    nemo.deployment.model_deployments.create(
        name=name,
        namespace=config.namespace,
        description=wanted.description,
        config=f"{made.namespace}/{made.name}",
    )


async def _until_ready(nemo: Any, config: CustomizerAdapterConfig, name: str) -> None:
    """Ask until it is ready; a question that fails is asked again while there is time."""
    end = time.monotonic() + config.deployment_timeout_seconds
    last = "nothing"
    while time.monotonic() < end:
        try:
            last, reported = await aside(partial(_asked, nemo, config.namespace, name))
        except Exception as error:
            last, reported = f"no answer ({error})", ""
            _log.warning("deployment %r: %s", name, last)
        if last in _READY:
            return
        if last in _BROKEN:
            raise ServiceError(f"deployment {name!r} is {last}: {reported}")
        await asyncio.sleep(config.poll_interval_seconds)
    raise ServiceError(
        f"deployment {name!r} was not ready within {config.deployment_timeout_seconds:g} s; "
        f"the last known status: {last}"
    )


def _asked(nemo: Any, namespace: str, name: str) -> tuple[str, str]:
    details = nemo.deployment.model_deployments.retrieve(name, namespace=namespace).status_details
    return str(details.status).lower(), str(details.description or "").strip()
