"""Stricter than production: warnings are errors, every drawn example is the same in every run."""

from pathlib import Path

import pytest
from hypothesis import settings

import pondera

ROOT = Path(__file__).parents[1]

settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")


def pytest_configure():
    """The code under test is the code beside the tests; a copy that is not imported tests nothing."""
    found = Path(pondera.__file__).resolve()
    if ROOT.resolve() not in found.parents:
        raise pytest.UsageError(
            f"tests: pondera must come from {ROOT / 'src'}; got {found}. Set PYTHONPATH."
        )
