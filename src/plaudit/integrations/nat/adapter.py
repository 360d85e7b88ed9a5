# pyright: reportMissingImports=false, reportUntypedBaseClass=false
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
"""The trainer adapter: pairs become a data set and a job of NeMo Customizer, which is watched."""

import asyncio
import logging
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from nat.data_models.finetuning import TrainingJobRef, TrainingJobStatus, TrainingStatusEnum
from nat.finetuning.interfaces.trainer_adapter import TrainerAdapter

from plaudit._util.aio import aside
from plaudit.errors import PlauditError, ServiceError, UsageError
from plaudit.integrations.nat.config import CustomizerAdapterConfig
from plaudit.integrations.nat.jobs import ENDS, deploy, status_of
from plaudit.integrations.nat.names import dataset_name, file_name, log_line
from plaudit.integrations.nat.records import TRAINING, VALIDATION, write_files
from plaudit.integrations.nat.services import Services

_log = logging.getLogger(__name__)

BACKEND = "nemo-customizer"
UPLOAD_SECONDS = 3600.0
LOG_FOLDER = Path(".tmp/nat/finetuning/trainer_adapter")


class CustomizerAdapter(TrainerAdapter):
    """Sends trajectories to NeMo Customizer. Each run has a data set of its own."""

    def __init__(self, adapter_config: CustomizerAdapterConfig) -> None:
        super().__init__(adapter_config)
        self.config = adapter_config
        self._services = Services(adapter_config)
        self._runs: set[str] = set()
        """Runs that are being submitted, or whose job was not seen to end."""

    async def initialize(self, run_config: Any) -> None:
        """Make the namespaces, if that is wanted, and ask whether the services are there.

        Raises:
            ServiceError: they are not, or the namespaces cannot be made.
        """
        await super().initialize(run_config)
        if self.config.create_namespace_if_missing:
            await aside(self._services.make_namespaces)
        await aside(self._services.ask)

    async def is_healthy(self) -> bool:
        """Whether both services answer a request now; why not is in the log."""
        try:
            await aside(self._services.ask)
        except PlauditError as error:
            _log.warning("%s", error)
            return False
        return True

    async def submit(self, trajectories: Any) -> Any:
        """Write and upload the pairs, and start a job. A run that could not be is free again.

        Raises:
            UsageError: a job of this run is under way.
            InputError: there are no pairs.
            ServiceError: a service refuses or does not answer.
        """
        run_id = trajectories.run_id
        if run_id in self._runs:
            raise UsageError(f"run {run_id!r} has a job: wait for it, or give another id")
        self._runs.add(run_id)
        try:
            name, rows = await self._uploaded(run_id, trajectories)
            job = await aside(partial(self._services.start_job, name))
        except BaseException:
            self._runs.discard(run_id)
            raise
        _log.info("run %r: job %s trains on %d pairs", run_id, job.id, rows[TRAINING])
        metadata = {
            "job_id": job.id,
            "output_model": job.output_model,
            "dataset_name": name,
            "training_pairs": rows[TRAINING],
            "validation_pairs": rows.get(VALIDATION, 0),
        }
        return TrainingJobRef(run_id=run_id, backend=BACKEND, metadata=metadata)

    async def _uploaded(self, run_id: str, trajectories: Any) -> tuple[str, dict[str, int]]:
        """Upload in time: the data store's client would wait for ever."""
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                return await aside(partial(self._upload, run_id, trajectories))
        except TimeoutError:
            raise ServiceError(
                f"the pairs of run {run_id!r} were not uploaded to {self.config.datastore_host} "
                f"within {UPLOAD_SECONDS:g} s"
            ) from None

    def _upload(self, run_id: str, trajectories: Any) -> tuple[str, dict[str, int]]:
        """Return the name of the data set, and how many rows are in each of its files."""
        name = dataset_name(self.config.dataset_name, run_id, self.config.namespace)
        with self._folder(run_id) as folder:
            rows = write_files(folder, trajectories, self.config.use_full_message_history)
            if VALIDATION not in rows:
                _log.warning(
                    "run %r: no validation file, since there are too few examples to keep some out",
                    run_id,
                )
            self._services.upload(name, folder, rows, f"Pairs of run {run_id}")
        return name, rows

    @contextmanager
    def _folder(self, run_id: str) -> Generator[Path]:
        """Yield the run's folder: the one that is kept, or one for the moment."""
        if self.config.dataset_output_dir:
            yield Path(self.config.dataset_output_dir) / file_name(run_id)
        else:
            with tempfile.TemporaryDirectory(prefix="plaudit-") as folder:
                yield Path(folder)

    async def status(self, ref: Any) -> Any:
        """Ask for a job's status, once.

        Raises:
            UsageError: the reference names no job.
            ServiceError: there was no answer, or none that can be understood. That is no word
                about the job, which may be training.
        """
        job_id = (ref.metadata or {}).get("job_id")
        if not job_id:
            raise UsageError(f"run {ref.run_id!r} has no job: its reference has no job_id")
        try:
            reported = await aside(partial(self._services.nemo.customization.jobs.status, job_id))
        except Exception as error:
            raise ServiceError(f"the status of job {job_id} is unknown: {error}") from error
        return status_of(ref, job_id, reported)

    async def wait_until_complete(self, ref: Any, poll_interval: float | None = None) -> Any:
        """Ask for a job's status until it ends, and deploy its model if that is wanted.

        Returns:
            The status at the end: completed, or canceled where no deployment is wanted.

        Raises:
            ServiceError: the job failed, was canceled before its deployment, or could not be
                deployed; or its status was unknown `max_consecutive_status_failures` times in a
                row. An error is what makes `nat finetune` end with a status other than 0.
        """
        try:
            status = await self._end(ref, poll_interval or self.config.poll_interval_seconds)
        finally:
            self._runs.discard(ref.run_id)
        await self._conclude(ref, status)
        return status

    async def _end(self, ref: Any, interval: float) -> TrainingJobStatus:
        failures, last = 0, None
        while True:
            try:
                status = await self.status(ref)
            except ServiceError as error:
                failures += 1
                if failures >= self.config.max_consecutive_status_failures:
                    raise ServiceError(
                        f"{error}; that was {failures} times in a row. The job may still be "
                        "running: look at it there"
                    ) from error
                _log.warning("run %r: %s; asking again", ref.run_id, error)
            else:
                failures = 0
                if (status.message, status.progress) != last:
                    last = status.message, status.progress
                    _log.info("run %r: %s, %s %%", ref.run_id, status.message, status.progress)
                if status.status in ENDS:
                    return status
            await asyncio.sleep(interval * 1.5**failures)

    async def _conclude(self, ref: Any, status: Any) -> None:
        metadata = ref.metadata or {}
        job = f"job {metadata.get('job_id')} of run {ref.run_id!r}"
        if status.status == TrainingStatusEnum.FAILED:
            raise ServiceError(f"{job} failed, and no model was trained: {status.message}")
        wanted = self.config.deploy_on_completion
        if status.status == TrainingStatusEnum.CANCELED:
            if wanted:
                raise ServiceError(f"{job} was canceled, and nothing is deployed")
            _log.warning("%s was canceled", job)
        elif wanted:
            model = metadata.get("output_model")
            if not model:
                raise ServiceError(f"{job} names no output model: there is nothing to deploy")
            await deploy(self._services.nemo, self.config, file_name(ref.run_id), model)

    def log_progress(
        self, ref: Any, metrics: dict[str, Any], output_dir: str | None = None
    ) -> None:
        """Append a line to the run's log."""
        config = {
            "namespace": self.config.namespace,
            "customization_config": self.config.customization_config,
        }
        fields = {"backend": ref.backend, "config": config, **metrics}
        folder = Path(output_dir) if output_dir else LOG_FOLDER
        log_line(folder, "nemo_customizer", ref.run_id, fields)
