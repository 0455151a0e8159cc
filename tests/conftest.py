"""Settings that all tests share."""

import os

import hypothesis
import pytest

hypothesis.settings.register_profile("default", deadline=None, max_examples=60, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=5000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

LONGEST = ("tests/property/", "tests/unit/tracegen/workloads/", "tests/cli/test_paper.py", "tests/cli/test_sweep.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: of several processes none shall be at it when the others are done."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
