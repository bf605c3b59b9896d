"""The house rules for what is said in words: a law is evaluated where it stands, a message compared."""

import ast
import importlib
import inspect
import math
import re
from hashlib import sha256

import numpy as np
import pytest

from pondera.core import bits, draw, laws, orthogonal
from pondera.core.fans import fans
from pondera.core.laws.base import Axes
from tests import oracle
from tests.test_house import SOURCE, tree_of
from tests.test_tools import MESSAGES
from tools import render

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


@pytest.mark.parametrize(
    "name", [n for n, _ in render.public_functions(laws) if n != "truncated_std"]
)
def test_laws_are_what_their_docstring_says(name):
    rng = np.random.default_rng(0)
    factory = getattr(laws, name)
    given = dict.fromkeys(["number"], 0.5) if name == "constant" else OPTIONS.get(name, {})
    law = factory(0.5) if name == "constant" else factory(**given)
    defaults = {k: p.default for k, p in inspect.signature(factory).parameters.items()}
    for _ in range(50):
        rows, columns, field = (int(n) for n in 2 * rng.integers(1, 40, 3))
        for shape, axes in (
            ((rows, columns, field), Axes((1,), (0,))),
            ((field, columns, rows), Axes()),
        ):
            fan_in, fan_out = fans(shape, in_axes=axes.in_axes, out_axes=axes.out_axes)
            names = {"fan_in": fan_in, "fan_out": fan_out, "rows": rows, "columns": field * columns}
            names |= {"high": rows // 2, "wide": field * columns // 2}
            stated = evaluated(law_of(factory), **{**names, **defaults, **given})
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


# --- messages ---

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


@pytest.mark.parametrize("message", [*written_messages()])
def test_every_message_of_the_core_is_compared_whole(message):
    assert any(re.fullmatch(message, text) for *_, text in MESSAGES)
