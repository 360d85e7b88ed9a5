"""What tests of several folders share."""

import pytest

from plaudit.engines import models


@pytest.fixture(scope="session")
def local_weights():
    """The file of the embedded model: from the cache, else fetched once."""
    return models.ensure("smollm2-135m-instruct")
