"""Which kernel runs and why: settings, a missing or strange library, forked children, the build."""

import os
import shutil
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from pondera.core.errors import DomainError
from pondera.core.recipes import normal_recipe
from pondera.kernel import draw, info, kernel_info, library, pool, records
from tests.kernel_levels import force, running_at

ROOT = Path(__file__).parents[1]
STREAM = {"recipe": normal_recipe(1.0), "seed": 0, "name": "w"}
level = running_at(library.LEVELS)
compiled = running_at(library.LEVELS[1:])


@pytest.fixture
def place(monkeypatch, tmp_path):
    """A place without a library, and a process that has not looked yet."""
    monkeypatch.delenv(library.VARIABLE, raising=False)
    monkeypatch.setattr(library, "PLACE", tmp_path / "library.so")
    library.running.cache_clear()
    info._warn_once.cache_clear()
    yield library.PLACE
    library.running.cache_clear()
    info._warn_once.cache_clear()


def in_a_process(program, **settings):
    """What a fresh process prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **settings}
    run = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, env=environment)
    return done.stdout.strip(), done.stderr.strip()


# --- settings ---


def test_a_forced_level_runs(level):
    found = kernel_info()
    assert found.level == level
    assert found.why == f"PONDERA_KERNEL={level}"
    assert (found.library is None) == (level == "numpy")
    assert str(found).startswith(f"{level} (PONDERA_KERNEL={level}), {found.threads} thread")


@pytest.mark.parametrize("wanted", library.LEVELS)
def test_the_environment_forces_a_level(monkeypatch, wanted):
    force(monkeypatch, wanted)  # skips what this machine lacks
    library.running.cache_clear()
    shown, fault = in_a_process(
        "import pondera.kernel as k; print(k.kernel_info().level)", PONDERA_KERNEL=wanted
    )
    assert (shown, fault) == (wanted, "")


def test_without_a_setting_the_widest_level_runs(monkeypatch):
    monkeypatch.delenv(library.VARIABLE, raising=False)
    library.running.cache_clear()
    found, fault = library._load(library.PLACE)
    assert kernel_info().level == library.levels(found)[-1]
    assert kernel_info().why == (fault or "the widest that build and processor have")


def test_an_unknown_setting_is_refused(monkeypatch):
    monkeypatch.setenv(library.VARIABLE, "avx215")
    library.running.cache_clear()
    with pytest.raises(DomainError) as error:
        kernel_info()
    assert str(error.value) == (
        "PONDERA_KERNEL: unknown kernel 'avx215'; did you mean 'avx2'? "
        "Known: avx2, avx512, numpy, plain."
    )


def test_a_level_that_cannot_run_is_refused(monkeypatch, place):
    monkeypatch.setenv(library.VARIABLE, "avx512")
    with pytest.raises(DomainError) as error:
        kernel_info()
    assert str(error.value) == (
        "PONDERA_KERNEL: a level must run on this machine; got 'avx512', which does not (no compiled "
        "library beside the package). Use one of numpy, or unset it."
    )


# --- no library, or another ---


def test_without_a_library_numpy_runs_and_says_so_once_when_it_matters(place):
    assert kernel_info().level == "numpy"
    assert kernel_info().why == "no compiled library beside the package"
    assert kernel_info().threads == 1
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        draw(0, info.NOTICED, **STREAM)
        assert said == []
        draw(0, info.NOTICED + 1, **STREAM)
        draw(0, info.NOTICED + 1, **STREAM)
    assert [str(warning.message) for warning in said] == [
        "pondera: large draws run in NumPy, the same numbers some 20 times slower; got no compiled "
        "library beside the package. Install a C compiler and run: pip install --force-reinstall "
        "--no-deps --no-binary pondera pondera. Or set PONDERA_KERNEL=numpy to be told no more."
    ]
    assert said[0].filename == __file__  # it points at the caller


def test_who_asked_for_numpy_is_not_warned(monkeypatch, place):
    monkeypatch.setenv(library.VARIABLE, "numpy")
    assert draw(0, info.NOTICED + 1, **STREAM).size == info.NOTICED + 1


def test_a_file_that_is_no_library_is_not_loaded(place):
    place.write_text("nonsense")
    assert kernel_info().level == "numpy"
    assert kernel_info().why.startswith("the compiled library does not load: ")


def test_a_library_of_another_version_does_not_run(monkeypatch, compiled):
    monkeypatch.delenv(library.VARIABLE)
    monkeypatch.setattr(library, "_ABI", 0)
    library.running.cache_clear()
    assert kernel_info().level == "numpy"
    assert kernel_info().why == "the compiled library is of another version"


# --- processes and threads ---


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_draws_with_its_own_threads(compiled):
    program = """
        import os, signal, threading, warnings
        warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
        from pondera.core.recipes import normal_recipe
        from pondera.kernel import draw, use_threads
        use_threads(3)
        stream = dict(recipe=normal_recipe(1.0), seed=0, name="w")
        before = draw(0, 2**19, **stream)  # the pool's threads run
        if (child := os.fork()) == 0:
            signal.alarm(30)  # a child that hangs is ended by this
            equal = (draw(0, 2**19, **stream) == before).all()
            os._exit(0 if equal and threading.active_count() > 1 else 1)
        print(os.waitpid(child, 0)[1])
    """
    assert in_a_process(program, PONDERA_KERNEL=compiled) == ("0", "")


def test_other_libraries_keep_their_threads(compiled):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    import pondera.torch as pt

    def settings():
        own = torch.get_num_threads(), torch.get_num_interop_threads()
        mask = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        named = {name: os.environ.get(name) for name in os.environ if "THREADS" in name}
        return own, mask, named

    before = settings()
    pool.use_threads(before[0][0] + 1)
    draw(0, 2**18, **STREAM)
    pt.normal_(torch.empty(2**18), std=1.0, seed=0, name="w")
    pt.orthogonal_(torch.empty(300, 300), seed=0, name="w")
    assert settings() == before


def test_python_runs_on_while_the_kernel_works(compiled):
    """The lock is free: this thread counts while another one is inside the compiled function."""
    out = np.empty(2**24, np.float32)
    stream = records.stream(0, "w") + records.recipe(normal_recipe(1.0), "float32")
    inside, counted = [], 0

    def work():
        inside.append("begun")
        library.running().draw(out.ctypes.data, records.whole(out.size), stream)
        inside.append("done")

    worker = threading.Thread(target=work)
    worker.start()
    while len(inside) < 2:
        counted += len(inside)
    worker.join()
    assert counted > 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_forked_amid_fills_fills_too(compiled):
    """Other threads hold the pool's lock, or wait for it, at the moment of the fork."""
    program = """
        import os, signal, threading, warnings
        warnings.simplefilter("ignore")
        import pondera.numpy as pn
        from pondera.kernel import use_threads
        use_threads(3)
        given = dict(std=1.0, seed=0, name="w")
        expected = pn.normal((2**18,), **given)
        stop = threading.Event()
        def work():
            while not stop.is_set():
                pn.normal((2**18,), **given)
        workers = [threading.Thread(target=work, daemon=True) for _ in range(2)]
        [worker.start() for worker in workers]
        faults = 0
        for _ in range(10):
            if (child := os.fork()) == 0:
                signal.alarm(30)
                os._exit(0 if (pn.normal((2**18,), **given) == expected).all() else 1)
            faults += os.waitpid(child, 0)[1] != 0
        stop.set()
        [worker.join() for worker in workers]
        print(faults)
    """
    assert in_a_process(program, PONDERA_KERNEL=compiled) == ("0", "")


def test_pondera_shows_which_kernel_runs(level):
    import pondera

    assert pondera.kernel_info().level == level


def test_threads_follow_the_affinity_of_the_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 7}, raising=False)
    assert pool.threads() == 3


# --- the build ---


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "tag"), [(None, "py3-none-"), ("no-such-cc", "py3-none-any")])
def test_a_wheel_is_made_with_and_without_a_compiler(monkeypatch, tmp_path, compiler, tag):
    if compiler is None and not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    copy = tmp_path / "copy"
    unwanted = shutil.ignore_patterns(".venv", ".git", "*.so", "__pycache__", "results", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    monkeypatch.setenv("CC", compiler or "cc")
    run = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(tmp_path), str(copy)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("needs hatchling from a package index")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert tag in wheel.name
    assert ("any" in wheel.name) == (compiler is not None)
    shutil.unpack_archive(wheel, tmp_path / "inside", "zip")
    made = list((tmp_path / "inside" / "pondera" / "kernel").glob("_pondera_kernel.*"))
    assert len(made) == (compiler is None)


def test_the_compiled_table_is_core_s():
    pytest.importorskip("hatchling")
    import hatch_build

    path = ROOT / "src" / "pondera" / "core" / "quantile.npy"
    source = hatch_build.quantile_source(path)
    words = [line.strip(" ,u") for line in source.splitlines() if "0x" in line]
    assert np.array_equal(np.load(path), np.array([int(word, 16) for word in words], np.uint64))
