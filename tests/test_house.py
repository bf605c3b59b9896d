"""The house rules: what the package shows, imports and promises in writing, checked on the source."""

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import pondera
from pondera.core.errors import MissingFramework
from tests import mutants
from tools import render

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pondera"
MODULES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").glob("*.py"))
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
each_test = pytest.mark.parametrize("path", TESTS, ids=lambda p: p.name)

PUBLIC = (
    "AbstractPenalty Box CPR Distance DomainError ElasticNet Fans GroupLasso Groups Input L0 L1 L2 "
    "LHalf MCP MaxNorm MissingFramework NonNegative Nuclear Plan Row SCAD ShapeError "
    "SparseGroupLasso WeightDecay __version__ convert_strength decay_groups fans gain initialize jax "
    "kernel_info laws numpy plan schemes torch"
).split()
PARTS = ("jax", "laws", "numpy", "torch")  # modules among them


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions_of(tree: ast.AST):
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


# --- what is shown ---


def test_the_public_names_are_these():
    assert pondera.__all__ == PUBLIC
    assert dir(pondera) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_is_what_the_type_checker_sees(name):
    shown = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in ast.walk(tree_of(SOURCE / "__init__.py"))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    if name in PARTS:
        assert getattr(pondera, name) is imported(shown[name])
    elif name != "__version__":
        module, _, last = shown[name].rpartition(".")
        assert getattr(pondera, name) is getattr(importlib.import_module(module), last)


def imported(module: str):
    """The module; a skip that names the package if one that is optional is not installed."""
    try:
        return importlib.import_module(module)
    except MissingFramework as fault:
        pytest.skip(str(fault))
    except ModuleNotFoundError as fault:
        if fault.name not in HEAVY:
            raise
        pytest.skip(f"{module} needs {fault.name}, which is not installed")


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'pondera' has no attribute 'nonsense'"):
        pondera.nonsense  # noqa: B018


# --- what is imported ---

HEAVY = {
    "torch",
    "jax",
    "keras",
    "tensorflow",
    "typer",
    "rich",
    "altair",
    "optuna",
    "sklearn",
    "scipy",
}


def loaded_by(program: str) -> set[str]:
    """Modules that a fresh process holds after a program."""
    shown = "import sys; print(*sorted(sys.modules))"
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})"
    run = [sys.executable, "-c", f"{path}\n{program}\n{shown}"]
    return set(subprocess.run(run, capture_output=True, text=True, check=True).stdout.split())


def test_importing_pondera_imports_no_framework():
    loaded = loaded_by("import pondera")
    assert "pondera" in loaded
    assert not loaded & (HEAVY | {"numpy", "importlib.metadata"})


def test_the_core_and_the_numpy_front_need_numpy_alone():
    loaded = loaded_by("import pondera.numpy; pondera.gain('gelu'); pondera.laws.he_normal()")
    assert "numpy" in loaded
    assert not loaded & HEAVY


def test_the_check_of_imports_can_fail():
    """The meta-test: a module that is imported is seen."""
    assert "importlib.metadata" in loaded_by("import pondera, importlib.metadata")


LAYERS = {  # what each part may import of ours; everything points up
    "core": {"core"},
    "kernel": {"core", "kernel"},
    "model": {"core", "model"},
    "numpy": {"core", "kernel", "numpy"},
    "jax": {"core", "jax", "kernel"},
    "torch": {"core", "kernel", "model", "torch"},
    "study": {"__version__", "core", "model", "study"},
    "evidence": {"core", "evidence", "model", "numpy", "study", "torch"},
    "report": {"core", "report"},
    "cli": {"cli", "core", "evidence", "model", "pondera", "report", "study"},
    "__main__": {"cli"},
    "__init__": {"core", "jax", "kernel", "model", "numpy", "torch"},
}


def ours_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = (name.split(".") for name in found)
    return {(part[1] if len(part) > 1 else part[0]) for part in parts if part[0] == "pondera"}


@each_module
def test_imports_point_up_only(path):
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert ours_imported(path) <= LAYERS[part]


@each_module
def test_a_class_is_abstract_or_final(path):
    """No class of ours that can be made has a subclass."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}
            concrete = {
                base for base in bases & CLASSES if not base.lstrip("_").startswith("Abstract")
            }
            assert not concrete, f"{node.name} inherits from {concrete}"


CLASSES = {
    node.name
    for path in MODULES
    for node in ast.walk(tree_of(path))
    if isinstance(node, ast.ClassDef)
}


@pytest.mark.parametrize("front", ["numpy.py", "torch/fill.py"])
def test_fronts_hold_no_formula(front):
    """No number but 0 and 1 in floating point, no root: laws are written in the core."""
    for node in ast.walk(tree_of(SOURCE / front)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            assert node.value in (0.0, 1.0)
        assert getattr(node, "attr", getattr(node, "id", "")) not in ("sqrt", "exp", "log")


# --- what is written ---

FORBIDDEN = {
    "a", "alpha", "common", "data", "helpers", "lam", "misc", "scale", "utils", "value"
}  # fmt: skip
COMPULSORY = ("Law", "Source", "Checked by")
PLUMBING = {"errors", "base", "activations"}  # no mathematics of their own


@each_module
def test_forbidden_names_are_not_used(path):
    allowed = {"data"} if "cli" in path.parts else set()  # the option --data
    named = {arg.arg for f in functions_of(tree_of(path)) for arg in arguments(f)}
    assert not (named | {path.stem} | set(path.relative_to(SOURCE).parts[:-1])) & (
        FORBIDDEN - allowed
    )


def arguments(function) -> list[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


@each_module
def test_documented_arguments_are_those_of_the_signature(path):
    for function in functions_of(tree_of(path)):
        parts = render.sections(ast.get_docstring(function) or "")
        if "Args" in parts:
            documented = re.findall(r"^(\w+): ", parts["Args"], flags=re.MULTILINE)
            stars = [star for star in (function.args.vararg, function.args.kwarg) if star]
            names = [arg.arg for arg in [*arguments(function), *stars]]
            assert documented == [name for name in names if name not in ("self", "cls")], (
                function.name
            )


@each_module
def test_headings_stand_in_their_order(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            present = [
                h for h in render.sections(ast.get_docstring(node) or "") if h not in ("", ">>>")
            ]
            assert present == [h for h in render.HEADINGS if h in present], node.name


def mathematics():
    """Every public function of the core that computes, and every penalty."""
    for path in sorted(SOURCE.glob("core/**/*.py")):
        if path.stem not in PLUMBING:
            for node in tree_of(path).body:
                penalty = isinstance(node, ast.ClassDef) and "AbstractPenalty" in map(
                    ast.unparse, node.bases
                )
                if penalty or (isinstance(node, ast.FunctionDef) and node.name[0] != "_"):
                    yield pytest.param(node, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize("node", [*mathematics()])
def test_the_core_states_law_source_and_check(node):
    parts = render.sections(ast.get_docstring(node) or "")
    given = isinstance(node, ast.FunctionDef) and arguments(node)
    wanted = [*COMPULSORY, *(["Args"] if given else [])]
    assert [heading for heading in wanted if not parts.get(heading)] == []


@pytest.mark.parametrize(
    "name", [n for n in PUBLIC if n not in PARTS and inspect.isfunction(getattr(pondera, n))]
)
def test_public_functions_document_their_arguments(name):
    function = getattr(pondera, name)
    parts = render.sections(inspect.getdoc(function) or "")
    assert set(re.findall(r"^(\w+): ", parts.get("Args", ""), re.MULTILINE)) == set(
        inspect.signature(function).parameters
    )


@each_module
def test_every_test_that_is_named_exists(path):
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", path.read_text(encoding="utf-8"))
    for file, test in named:
        assert test in {f.name for f in functions_of(tree_of(ROOT / "tests" / file))}, (
            f"{file}::{test}"
        )


# --- the tree, the pages, the words ---


def ignored(path: Path) -> bool:
    """Hidden, or left out of the repository by .gitignore."""
    patterns = [p for p in IGNORED if path.parent == ROOT or not p.startswith("/")]
    return path.name.startswith(".") or any(fnmatch(path.name, p.strip("/")) for p in patterns)


IGNORED = (ROOT / ".gitignore").read_text().split()


def tree_in_readme() -> dict[str, list[str]]:
    """Folder → names, of the fenced block that begins with src/pondera/; top-level names under ""."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```\w*\n(src/pondera/.*?)```", readme, flags=re.DOTALL)
    assert block, "README.md shows no tree"
    found: dict[str, list[str]] = {"": []}
    for line in block[1].splitlines():
        inner, name = re.match(r"([\s│├└─┐┘]*)(\S*)", line).groups()
        if name:
            found.setdefault("src/pondera/" if inner else "", []).append(name)
    return found


def test_the_tree_in_the_readme_is_the_real_one():
    shown = tree_in_readme()
    inside = {name.rstrip("/") for name in shown["src/pondera/"]}
    for name in inside:
        assert (SOURCE / name).exists(), f"src/pondera/{name} is gone"
    for name in shown[""]:
        assert (ROOT / name).exists(), f"{name} is gone"
    real = {p.name for p in SOURCE.iterdir() if not ignored(p)}
    assert real - {"__init__.py", "__main__.py", "py.typed"} <= inside
    folders = {p.name for p in ROOT.iterdir() if p.is_dir() and any(p.iterdir()) and not ignored(p)}
    assert folders <= {name.split("/")[0] for name in shown[""]}


def test_generated_pages_are_fresh():
    for path, page in render.TARGETS.items():
        assert path.read_text(encoding="utf-8") == page(), "run: python -m tools.render"


def texts(folder: Path = ROOT):
    """Every file of the repository that is text."""
    for path in sorted(folder.iterdir()):
        if path.name == ".ci" or not ignored(path):
            if path.is_dir():
                yield from texts(path)
            elif b"\0" not in path.read_bytes():
                yield path


UNSAID = [  # put together here, so that this file does not say them either
    "/" + "work/", "/" + "tmp/", "TO" + "DO", "FIX" + "ME", r"issue\s#\d", r"#\d+\sissue",
]  # fmt: skip


def test_the_project_speaks_of_itself_alone():
    unsaid = re.compile("|".join(UNSAID))
    said = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if unsaid.search(line)
    ]
    assert said == []


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short_enough_to_read(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@each_module
def test_examples_in_docstrings_are_true(path):
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    failed, _ = doctest.testmod(imported(name))
    assert failed == 0


# --- the tests themselves ---

TOLERANCES = {"rtol", "atol", "rel", "abs", "rel_tol", "abs_tol"}


@each_test
def test_tolerances_are_derived(path):
    """Beside rtol, atol, rel and abs stands no decimal, and no number alone but 0."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.keyword) and node.arg in TOLERANCES:
            numbers = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
            alone = isinstance(node.value, ast.Constant) and node.value.value != 0
            decimal = any(isinstance(number, float) for number in numbers)
            assert not alone, f"line {node.value.lineno}"
            assert not decimal, f"line {node.value.lineno}"


@pytest.mark.parametrize("fault", mutants.MUTANTS, ids=lambda fault: fault.name)
def test_each_fault_changes_one_place_and_names_a_test(fault):
    text = (ROOT / fault.file).read_text(encoding="utf-8")
    assert text.count(fault.old) == 1
    assert fault.new != fault.old
    file, _, test = fault.test.partition("::")
    tests = {f.name for f in functions_of(tree_of(ROOT / "tests" / file))}
    assert test.partition("[")[0] in tests


def test_a_fault_that_changes_nothing_survives():
    """The meta-test of the faults: a test that sees no fault is said to."""
    harmless = mutants.MUTANTS[0]._replace(
        old="for _ in range(rounds):", new="for i in range(rounds):"
    )
    assert mutants.outcome(harmless) == "SURVIVED"
