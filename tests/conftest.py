"""What tests of several folders share."""

import signal
from contextlib import suppress

import pytest

from plaudit.engines.llama import models
from tests.support.examples import drawn

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs the suite in the background ignores interrupts, and commands inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


with suppress(ImportError):  # Environments of trainers have no hypothesis.
    import hypothesis

    # The same examples each time, and as much time for each as a busy machine takes.
    hypothesis.settings.register_profile(
        "plaudit", deadline=None, derandomize=True, max_examples=drawn(100)
    )
    hypothesis.settings.load_profile("plaudit")


@pytest.fixture(scope="session")
def local_weights():
    """The file of the embedded model: from the cache, else fetched once."""
    return models.ensure("smollm2-135m-instruct")


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory):
    """Tests that name no store never touch the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAUDIT_HOME", str(tmp_path_factory.mktemp("home")))
        yield
