"""What holds for all tests."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled graphs are kept with the tests' other files, not in the cache of who runs them."""
    before = os.environ.get("TERRASEG_CACHE")
    os.environ["TERRASEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("TERRASEG_CACHE")
    if before is not None:
        os.environ["TERRASEG_CACHE"] = before
