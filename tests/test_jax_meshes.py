"""Draws laid out over eight devices: equal bits, no device asks another, the memory of a shard."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed")

from tests.jax_meshes import LAYOUTS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def meshes():
    flags = "--xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.jax_meshes"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["devices"] == 8
    return found


def test_each_shard_is_the_slice_of_the_whole(meshes):
    assert len(meshes["layouts"]) == len(LAYOUTS)
    assert [case["case"] for case in meshes["layouts"] if not case["equal"]] == []
    assert [case["case"] for case in meshes["layouts"] if not case["eager"]] == []


def test_no_device_asks_another(meshes):
    cases = meshes["layouts"] + meshes["others"]
    assert [(case["case"], case["asks"]) for case in cases if case["asks"]] == []


def test_a_shard_takes_the_memory_of_a_shard(meshes):
    small = 1024  # bytes for scalars
    wasteful = [case for case in meshes["layouts"] if case["bytes"] > case["shard"] + small]
    assert wasteful == []


def test_a_device_may_draw_its_own_slice(meshes):
    assert meshes["shard_map"] == [True, True]


def test_every_kind_of_law_can_be_laid_out(meshes):
    assert len(meshes["others"]) == 4
    for case in meshes["others"]:
        assert case["equal"], case["case"]
        assert case["eager"], case["case"]
