"""Named experiments of the field: measured, against what each says of itself."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from pondera.evidence.starts import thirty_relu_layers, twenty_gelu_layers


def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def accuracies():
    """Every start's accuracies, measured in two processes."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    before = {name: os.environ.get(name) for name in threads}
    os.environ.update(threads)
    try:
        with ProcessPoolExecutor(2, get_context("spawn"), _one_thread) as pool:
            starts = ("he", "orthogonal", "default")
            found = {s: pool.submit(thirty_relu_layers, starts=(s,)) for s in starts}
            gelu = pool.submit(twenty_gelu_layers)
            measured = {s: future.result()[s] for s, future in found.items()}
            return {**measured, "gelu": gelu.result()}
    finally:
        for name, setting in before.items():
            if setting is None:
                del os.environ[name]
            else:
                os.environ[name] = setting


def test_thirty_relu_layers_learn_from_he_and_orthogonal_starts(accuracies):
    assert median(accuracies["he"]) > 0.85
    assert median(accuracies["orthogonal"]) > 0.90


def test_thirty_relu_layers_stay_at_chance_from_the_default_start(accuracies):
    assert max(accuracies["default"]) < 0.20


def test_twenty_gelu_layers_learn_from_orthogonal_weights_with_the_exact_gain(accuracies):
    assert median(accuracies["gelu"]) > 0.93
