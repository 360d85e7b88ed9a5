# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
"""NeMo's services, through their own clients. Everything here blocks: call it in a thread."""

import logging
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from plaudit.errors import MissingDependencyError, ServiceError
from plaudit.integrations.nat.config import CustomizerAdapterConfig

_log = logging.getLogger(__name__)

SECONDS = 60.0
"""How long a request may take; uploads are the Hugging Face client's to time."""


class Services:
    """The entity store, the data store and the customizer that a configuration names."""

    def __init__(self, config: CustomizerAdapterConfig) -> None:
        self._config = config

    @cached_property
    def nemo(self) -> Any:
        """The client of NeMo's services; it tries again twice what may be tried again."""
        try:
            from nemo_microservices import NeMoMicroservices
        except ImportError:
            raise MissingDependencyError("nemo-microservices", "nat") from None
        client = NeMoMicroservices(base_url=self._config.entity_host, timeout=SECONDS)
        weakref.finalize(self, client.close)  # The toolkit has no word for the end of an adapter.
        return client

    @cached_property
    def _files(self) -> Any:
        try:
            from huggingface_hub import HfApi
        except ImportError:
            raise MissingDependencyError("huggingface_hub", "nat") from None
        # False: none at all. With None the client would send the one that the user has elsewhere.
        host = f"{self._config.datastore_host}/v1/hf"
        return HfApi(endpoint=host, token=self._config.hf_token or False)

    def make_namespaces(self) -> None:
        """Make the namespace in both stores, where it is not there.

        Raises:
            ServiceError: it is not there and cannot be made.
        """
        name = self._config.namespace
        _unless_it_exists(
            lambda: self.nemo.namespaces.create(id=name, description="Preference data of plaudit"),
            f"namespace {name!r} cannot be made in the entity store",
        )
        status, text = self._datastore("POST", "/namespaces", {"namespace": name})
        if status not in (200, 201, 409, 422):
            raise ServiceError(
                f"namespace {name!r} cannot be made in the data store at "
                f"{self._config.datastore_host}: it answers {status}: {text}"
            )

    def ask(self) -> None:
        """Ask both hosts for something small.

        Raises:
            ServiceError: one of them does not answer, or refuses.
        """
        config = self._config
        try:
            self.nemo.customization.jobs.list(page_size=1)
        except Exception as error:
            raise ServiceError(
                f"NeMo Customizer at {config.entity_host} does not answer: {_short(error)}"
            ) from error
        status, text = self._datastore("GET", f"/namespaces/{config.namespace}")
        if status in (401, 403, 407, 429) or status >= 500:
            raise ServiceError(
                f"NeMo Data Store at {config.datastore_host} answers {status}: {text}"
            )

    def upload(self, name: str, folder: Path, paths: Iterable[str], what: str) -> None:
        """Make a data set of files and register it, all files in one commit.

        Raises:
            ServiceError: a service refuses.
        """
        repository = f"{self._config.namespace}/{name}"
        try:
            self._files.create_repo(repository, repo_type="dataset", exist_ok=True)
            self._commit(repository, folder, paths, what)
        except Exception as error:
            raise ServiceError(
                f"data set {repository!r} cannot be uploaded to "
                f"{self._config.datastore_host}: {_short(error)}"
            ) from error
        _unless_it_exists(
            lambda: self.nemo.datasets.create(
                name=name,
                namespace=self._config.namespace,
                files_url=f"hf://datasets/{repository}",
                description=what,
            ),
            f"data set {repository!r} cannot be registered in the entity store",
        )

    def _commit(self, repository: str, folder: Path, paths: Iterable[str], what: str) -> None:
        from huggingface_hub import CommitOperationAdd

        with ExitStack() as opened:
            # Open files, not names: those the client would send where only the public hub is.
            operations = [
                CommitOperationAdd(
                    path_in_repo=path,
                    path_or_fileobj=opened.enter_context(open(folder / Path(path).name, "rb")),
                )
                for path in paths
            ]
            self._files.create_commit(
                repository, operations, commit_message=what, repo_type="dataset", revision="main"
            )

    def start_job(self, dataset: str) -> Any:
        """Start a training job and return what the customizer says of it.

        Raises:
            ServiceError: it was refused, or it is not known whether it was started.
        """
        config = self._config
        try:
            # Sent once: a lost answer must not make two jobs.
            job = self.nemo.with_options(max_retries=0).customization.jobs.create(
                config=config.customization_config,
                dataset={"name": dataset, "namespace": config.namespace},
                hyperparameters=config.hyperparameters.model_dump(),
            )
        except Exception as error:
            raise ServiceError(
                f"no job was confirmed by NeMo Customizer at {config.entity_host}: {_short(error)}"
            ) from error
        if not job.id:
            raise ServiceError("NeMo Customizer answered without the id of a job")
        return job

    def _datastore(self, method: str, path: str, form: Any = None) -> tuple[int, str]:
        import httpx

        url = f"{self._config.datastore_host}/v1/datastore{path}"
        token = self._config.hf_token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            reply = httpx.request(method, url, data=form, headers=headers, timeout=SECONDS)
        except httpx.HTTPError as error:
            raise ServiceError(
                f"NeMo Data Store at {self._config.datastore_host} does not answer: {_short(error)}"
            ) from error
        return reply.status_code, reply.text[:300]


def _unless_it_exists(create: Callable[[], object], problem: str) -> None:
    from nemo_microservices import ConflictError

    try:
        create()
    except ConflictError:
        _log.debug("it is there: %s", problem)
    except Exception as error:
        raise ServiceError(f"{problem}: {_short(error)}") from error


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:500]}"
