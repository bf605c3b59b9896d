"""The house rules: what the package shows, imports and promises in writing, checked on the source."""

import ast
import doctest
import importlib
import inspect
import math
import re
import subprocess
import sys
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import pondera
from pondera.core import bits, draw, laws, orthogonal
from pondera.core.fans import fans
from pondera.core.laws.base import Axes
from tests import mutants, oracle
from tests.test_tools import MESSAGES
from tools import render

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pondera"
MODULES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").glob("*.py"))
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
each_test = pytest.mark.parametrize("path", TESTS, ids=lambda p: p.name)

PUBLIC = (
    "AbstractPenalty Box CPR Distance DomainError ElasticNet Fans GroupLasso Groups L0 L1 L2 LHalf MCP "
    "MaxNorm MissingFramework NonNegative Nuclear Row SCAD ShapeError SparseGroupLasso WeightDecay "
    "__version__ convert_strength decay_groups fans gain initialize laws numpy torch"
).split()


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
    found = getattr(pondera, name)
    if name != "__version__":
        module, _, last = shown[name].rpartition(".")
        assert found is getattr(importlib.import_module(module), last)


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'pondera' has no attribute 'nonsense'"):
        pondera.nonsense  # noqa: B018


# --- what is imported ---

HEAVY = {"torch", "jax", "keras", "tensorflow", "typer", "rich", "altair", "optuna", "sklearn", "scipy"}


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
    "torch": {"core", "kernel", "model", "torch"},
    "study": {"__version__", "core", "model", "study"},
    "evidence": {"core", "evidence", "model", "numpy", "study", "torch"},
    "report": {"core", "report"},
    "cli": {"cli", "core", "evidence", "model", "pondera", "report", "study"},
    "__main__": {"cli"},
    "__init__": {"core", "kernel", "model", "numpy", "torch"},
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
            concrete = {base for base in bases & CLASSES if not base.lstrip("_").startswith("Abstract")}
            assert not concrete, f"{node.name} inherits from {concrete}"


CLASSES = {
    node.name for path in MODULES for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)
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
    assert not (named | {path.stem} | set(path.relative_to(SOURCE).parts[:-1])) & (FORBIDDEN - allowed)


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
            assert documented == [name for name in names if name not in ("self", "cls")], function.name


@each_module
def test_headings_stand_in_their_order(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            present = [h for h in render.sections(ast.get_docstring(node) or "") if h not in ("", ">>>")]
            assert present == [h for h in render.HEADINGS if h in present], node.name


def mathematics():
    """(module, function) of everything public in the core that computes."""
    for path in sorted(SOURCE.glob("core/**/*.py")):
        if path.stem not in PLUMBING:
            for node in tree_of(path).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    yield pytest.param(path, node, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize(("path", "function"), mathematics())
def test_the_core_states_law_source_and_check(path, function):
    parts = render.sections(ast.get_docstring(function) or "")
    wanted = [*COMPULSORY, *(["Args"] if arguments(function) else [])]
    assert [heading for heading in wanted if not parts.get(heading)] == []


@pytest.mark.parametrize(
    "name", [n for n in PUBLIC if inspect.isfunction(getattr(pondera, n, None))]
)
def test_public_functions_document_their_arguments(name):
    function = getattr(pondera, name)
    parts = render.sections(inspect.getdoc(function) or "")
    assert set(re.findall(r"^(\w+): ", parts["Args"], re.MULTILINE)) == set(
        inspect.signature(function).parameters
    )


@each_module
def test_every_test_that_is_named_exists(path):
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", path.read_text(encoding="utf-8"))
    for file, test in named:
        assert test in {f.name for f in functions_of(tree_of(ROOT / "tests" / file))}, f"{file}::{test}"


# --- laws written once, and executed ---

SPEAKING = {  # in words or as an algorithm; the tests under "Checked by" hold them
    "draw", "fans", "gain", "integers", "normal_quantile", "normal_recipe", "numbers", "odd_slope",
    "orthogonal_matrix", "mirrored_matrix", "philox4x32", "truncated_recipe", "uniform_recipe", "words",
}  # fmt: skip
OPTIONS = {
    "normal": {"std": 0.3},
    "truncated_normal": {"std": 0.3, "cut": 1.1},
    "uniform": {"low": -0.2, "high": 0.7},
    "he_normal": {"slope": 0.3, "fan": "out"},
    "he_uniform": {"slope": -0.4},
    "variance_scaling": {"gain": 0.7, "fan": "geometric"},
    "orthogonal": {"gain": 1.7},
    "mirrored_orthogonal": {"gain": 1.7, "block": "hidden"},
}


def law_of(function) -> str:
    return render.sections(inspect.getdoc(function) or "")["Law"]


def evaluated(law: str, **names):
    """The Law line as the Python expression that it is."""
    return eval(" ".join(law.split()), {**vars(math), "sha256": _sha256, **names})


def _sha256(text: str) -> bytes:
    return sha256(text.encode()).digest()


def is_expression(law: str) -> bool:
    try:
        ast.parse(" ".join(law.split()), mode="eval")
    except SyntaxError:
        return False
    return True


@pytest.mark.parametrize("name", [n for n, _ in render.public_functions_of(laws) if n != "truncated_std"])
def test_laws_are_what_their_docstring_says(name):
    rng = np.random.default_rng(0)
    factory = getattr(laws, name)
    given = dict.fromkeys(["number"], 0.5) if name == "constant" else OPTIONS.get(name, {})
    law = factory(0.5) if name == "constant" else factory(**given)
    defaults = {k: p.default for k, p in inspect.signature(factory).parameters.items()}
    for _ in range(50):
        rows, columns, field = (int(n) for n in 2 * rng.integers(1, 40, 3))
        for shape, axes in (((rows, columns, field), Axes((1,), (0,))), ((field, columns, rows), Axes())):
            fan_in, fan_out = fans(shape, in_axes=axes.in_axes, out_axes=axes.out_axes)
            names = {"fan_in": fan_in, "fan_out": fan_out, "rows": rows, "columns": field * columns}
            names |= {"high": rows // 2, "wide": field * columns // 2}
            stated = evaluated(law_of(factory), **{**defaults, **given, **names})
            assert law.std(shape, axes) == pytest.approx(stated, rel=8 * oracle.ulp(np.float64))


def test_truncated_std_is_what_its_docstring_says():
    for cut in np.random.default_rng(0).uniform(0.1, 8, 200):
        stated = evaluated(law_of(laws.truncated_std), cut=cut)
        # the law subtracts: its error grows as the share that is left shrinks
        rounding = 8 * oracle.ulp(np.float64) / min(1.0, stated) ** 2
        assert laws.truncated_std(float(cut)) == pytest.approx(stated, rel=rounding)


def test_streams_are_what_their_docstrings_say():
    rng = np.random.default_rng(0)
    for seed in (0, 2**64 - 1, *(int(s) for s in rng.integers(0, 2**63, 50))):
        assert bits.stream_key(seed) == evaluated(law_of(bits.stream_key), seed=seed)
        name, tag = f"layer.{seed}", ["", "imag"][seed % 2]
        stated = evaluated(law_of(bits.name_hash), name=name, tag=tag)
        assert bits.name_hash(name, tag=tag) == stated
    for dtype in (*draw.DTYPES, "int32", "bfloat16"):
        allowed = evaluated(law_of(draw.need_dtype), dtype=dtype)
        assert allowed == (dtype in draw.DTYPES)
    for block in orthogonal.BLOCKS:
        stated = evaluated(law_of(orthogonal.mirrored_shape), rows=6, columns=4, block=block)
        assert orthogonal.mirrored_shape(6, 4, block=block) == stated


def test_no_law_is_left_unevaluated():
    """A law in words is on the reviewed list; every other is Python and is evaluated above."""
    for module in ("bits", "draw", "fans", "gains", "orthogonal", "recipes"):
        found = importlib.import_module(f"pondera.core.{module}")
        for name, function in render.public_functions(found):
            assert is_expression(law_of(function)) != (name in SPEAKING), name


# --- the tree, the pages, the words ---


def ignored(name: str) -> bool:
    patterns = (ROOT / ".gitignore").read_text().split()
    return name.startswith(".") or any(fnmatch(name, pattern.strip("/")) for pattern in patterns)


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
    real = {p.name for p in SOURCE.iterdir() if not ignored(p.name)}
    assert real - {"__init__.py", "__main__.py", "py.typed"} <= inside
    folders = {p.name for p in ROOT.iterdir() if p.is_dir() and any(p.iterdir())}
    folders = {name for name in folders if not ignored(name)}
    assert folders <= {name.split("/")[0] for name in shown[""]}


def test_generated_pages_are_fresh():
    for path, page in render.TARGETS.items():
        assert path.read_text(encoding="utf-8") == page(), "run: python -m tools.render"


def texts():
    kept = (p for p in sorted(ROOT.iterdir()) if not ignored(p.name) or p.name == ".ci")
    for top in kept:
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            inside = path.relative_to(ROOT).parts
            suffixes = (".py", ".md", ".toml", ".txt", ".c", ".h", ".css", ".js", ".jinja", ".yml", "")
            if path.is_file() and path.suffix in suffixes and not any(map(ignored, inside[1:])):
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
    failed, _ = doctest.testmod(importlib.import_module(name))
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
            assert not (alone or decimal), f"line {node.value.lineno}"


@pytest.mark.parametrize("fault", mutants.MUTANTS, ids=lambda fault: fault.name)
def test_each_fault_changes_one_place_and_names_a_test(fault):
    text = (ROOT / fault.file).read_text(encoding="utf-8")
    assert text.count(fault.old) == 1
    assert fault.new != fault.old
    file, _, test = fault.test.partition("::")
    tests = {f.name for f in functions_of(tree_of(ROOT / "tests" / file))}
    assert test.partition("[")[0] in tests


FILES = [
    *SOURCE.glob("core/*.py"),
    *SOURCE.glob("core/laws/*.py"),
    *(SOURCE / name for name in ("numpy.py", "torch/fill.py", "model/dispatch.py")),
]


def written_messages():
    """(place, pattern) of each message that is raised in FILES."""
    for path in FILES:
        if path.name not in ("errors.py", "solvers.py"):  # solvers has a table of its own
            for node in ast.walk(tree_of(path)):
                call = node.exc if isinstance(node, ast.Raise) else None
                if isinstance(call, ast.Call) and call.args:
                    yield pytest.param(pattern(call), id=f"{path.stem}:{node.lineno}")


def pattern(call: ast.Call) -> str:
    """A regular expression of the message that a call makes."""
    if getattr(call.func, "id", "") == "unknown":  # where, what, …
        return f"{pattern_of(call.args[0])}: unknown {pattern_of(call.args[1])} .*"
    if getattr(call.func, "id", "") == "missing":
        return ".* needs .*, which is not installed.*"
    return pattern_of(call.args[0])


def pattern_of(node: ast.expr) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".*" for p in parts)


@pytest.mark.parametrize("message", written_messages())
def test_every_message_of_the_core_is_compared_whole(message):
    assert any(re.fullmatch(message, text) for *_, text in MESSAGES)
