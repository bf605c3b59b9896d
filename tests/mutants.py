"""Named faults, each with the test that must notice it: `python -m tests.mutants [--all | --first] [name …]`.

A fault is one change of text in a copy of src/ and tests/; only its own test runs, against the
copy. `red` is as it should be; `SURVIVED` means that the test cannot see the fault, `BROKEN` that
it did not run. First the tests run on an unchanged copy: a test that is red anyway shows nothing.
The lists are `tests/faults.py` (the core: `--first` runs these alone) and `tests/faults_<topic>.py`. Without
a name every fault runs whose test takes about a second; the LONG ones of their lists only with `--all`.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import MUTANTS as FIRST
from tests.faults import Mutant

ROOT = Path(__file__).parents[1]
AT_ONCE = 2
COPIED = (".gitignore", "README.md", "docs", "pyproject.toml", "src", "tests", "tools")
TOPICS = [
    importlib.import_module(f"tests.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("faults_*.py"))
]
MUTANTS = [*FIRST, *(fault for topic in TOPICS for fault in topic.FAULTS)]
LONG = frozenset(name for topic in TOPICS for name in getattr(topic, "LONG", ()))


def copied(folder: Path) -> Path:
    """A copy of what the tests need, in a folder of its own."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)  # compiled files stay valid: times are copied too
    return folder


def run(folder: Path, tests: Sequence[str]) -> int:
    """pytest's exit code on a copy; `conftest.py` refuses any other pondera than the copy's."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment["PYTHONPATH"] = f"{folder / 'src'}{os.pathsep}{folder}"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", ""]
    named = [f"tests/{test}" for test in tests]
    done = subprocess.run([*command, *named], cwd=folder, env=environment, capture_output=True)
    return done.returncode


def outcome(mutant: Mutant) -> str:
    """red, SURVIVED or BROKEN."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = copied(Path(name))
        path = folder / mutant.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            return "BROKEN"
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        os.utime(path, (0, 0))  # no compiled file can pass for this text
        return {0: "SURVIVED", 1: "red"}.get(run(folder, [mutant.test]), "BROKEN")


def unchanged(mutants: Sequence[Mutant]) -> str:
    """Whether all these tests pass where nothing is changed."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        tests = sorted({mutant.test for mutant in mutants})
        return "green" if run(copied(Path(name)), tests) == 0 else "BROKEN"


def main(arguments: Sequence[str]) -> int:
    """Run the named faults, or all quick ones, or all; 1 if any survived or did not run."""
    names = set(arguments) - {"--all", "--first"}
    strangers = names - {mutant.name for mutant in MUTANTS}
    if strangers:
        print(f"no such fault: {', '.join(sorted(strangers))}")
        return 2
    listed = FIRST if "--first" in arguments else MUTANTS
    wanted = names or {m.name for m in listed} - (set() if "--all" in arguments else LONG)
    chosen = [mutant for mutant in MUTANTS if mutant.name in wanted]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        plain = pool.submit(unchanged, chosen)
        found = pool.map(outcome, chosen)
        print(f"(nothing changed) → {len({m.test for m in chosen})} tests → {plain.result()}")
        bad = [plain.result()] if plain.result() != "green" else []
        for mutant, result in zip(chosen, found, strict=True):
            print(f"{mutant.name} → {mutant.test} → {result}", flush=True)
            bad += [result] if result != "red" else []
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
