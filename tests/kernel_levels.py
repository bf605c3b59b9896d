"""The levels that a kernel test runs at, and how it forces one."""

import pytest

from pondera.kernel import library, pool


def force(monkeypatch, level):
    """Run this level from here on; skip where the machine or the build lacks it."""
    found, fault = library._load(library.PLACE)
    if level not in library.levels(found):
        pytest.skip(f"kernel {level}: {fault or 'the processor lacks it'}")
    monkeypatch.setenv(library.VARIABLE, level)
    library.running.cache_clear()


def running_at(levels):
    """A fixture that runs a test once at each level, and forgets what the test forced."""

    @pytest.fixture(params=levels)
    def level(request, monkeypatch):
        force(monkeypatch, request.param)
        yield request.param
        library.running.cache_clear()
        pool.use_threads(None)

    return level
