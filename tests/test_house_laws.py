"""The house rules for what is said in words: a law is evaluated where it stands, a message compared."""

import ast
import importlib
import inspect
import math
import re
from hashlib import sha256

import numpy as np
import pytest

from pondera.core import bits, draw, hadamard, laws, orthogonal
from pondera.core.errors import ShapeError
from pondera.core.fans import fans
from pondera.core.laws.base import Axes
from tests import oracle
from tests.law_messages import MESSAGES as LAW_MESSAGES
from tests.test_house import SOURCE, tree_of
from tests.test_tools import MESSAGES
from tools import render

SPEAKING = {  # in words or as an algorithm; the tests under "Checked by" hold them
    "along", "drawn", "drawn_at", "flat", "hadamard_rows", "slice_of", "softplus_time_steps",
    "walsh_transform", "whole", "words_at", "words_of",
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
    "siren_hidden": {"omega": 7.0},
    "mup_output_normal": {"gain": 1.7},
    "small_normal": {"width": 48},
    "wang_normal": {"width": 48, "depth": 7},
    "residual_normal": {"depth": 7, "base_std": 0.3, "branches": 3},
    "kan_normal": {"inputs": 9, "intervals": 5, "order": 2, "basis_power": 0.7, "fan_power": 0.3},
    "tiled_identity": {"noise": 0.3, "gain": 1.7},
    "sparse": {"sparsity": 0.3, "nonzero_std": 1.7},
    "unit_rows": {"gain": 1.7},
    "delta_orthogonal": {"gain": 1.7},
    "mirrored_delta_orthogonal": {"gain": 1.7},
    "hadamard_orthogonal": {"gain": 1.7},
    "log_uniform": {"low": 0.2, "high": 3.0},
    "mamba2_decay": {"low": 0.2, "high": 3.0},
    "identity": {"gain": 1.7},
    "dirac": {"gain": 1.7, "groups": 2},
    "s4d_lin": {"part": "whole"},
    "s4d_inv": {"part": "whole"},
    "s4d_real": {"form": "plain"},
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


def factories(*, entries: bool) -> list[str]:
    """Names of the laws whose Law line is that of an entry, or of the std."""
    spoken = SPEAKING | {"truncated_std"}
    return [
        name
        for name, function in render.public_functions(laws)
        if name not in spoken and law_of(function).startswith("entry:") == entries
    ]


def some_sizes(name: str, rng) -> tuple[int, int, int]:
    """(outputs, inputs, field) that suit the law; even, and powers of two where it wants them."""
    if name == "hadamard_orthogonal":
        return tuple(2 ** int(k) for k in rng.integers(1, 5, 3))
    rows, columns, field = (int(n) for n in 2 * rng.integers(1, 40, 3))
    return rows, columns, 0 if name in ("identity", "tiled_identity") else field


def made_by(name: str) -> tuple[laws.AbstractLaw, dict]:
    """The law with its options here, and all its arguments by name."""
    factory = getattr(laws, name)
    given = {"number": 0.5} if name == "constant" else OPTIONS.get(name, {})
    law = factory(0.5) if name == "constant" else factory(**given)
    defaults = {k: p.default for k, p in inspect.signature(factory).parameters.items()}
    return law, {**defaults, **given}


@pytest.mark.parametrize("name", factories(entries=False))
def test_laws_are_what_their_docstring_says(name):
    rng = np.random.default_rng(0)
    law, given = made_by(name)
    for _ in range(50):
        rows, columns, taps = some_sizes(name, rng)
        field = (taps,) if taps else ()
        for shape, axes in (
            ((rows, columns, *field), Axes((1,), (0,))),
            ((*field, columns, rows), Axes()),
        ):
            fan_in, fan_out = fans(shape, in_axes=axes.in_axes, out_axes=axes.out_axes)
            names = {"fan_in": fan_in, "fan_out": fan_out, "rows": rows, "columns": fan_in}
            names |= {"outputs": rows, "inputs": columns, "taps": taps, "fan": fan_in}
            names |= {"high": rows // 2, "length": shape[-1]}
            names |= {"wide": (columns if "delta" in name else fan_in) // 2}
            stated = evaluated(law_of(getattr(laws, name)), **{**names, **given})
            assert law.std(shape, axes) == pytest.approx(stated, rel=8 * oracle.ulp(np.float64))


@pytest.mark.parametrize("name", factories(entries=True))
def test_entries_are_what_their_docstring_says(name):
    law, given = made_by(name)
    formula = law_of(getattr(laws, name)).removeprefix("entry:")
    for sizes in ((4, 6, 3), (6, 4, 3), (2, 2, 4), (8, 5, 2)):
        shape = sizes[::2] if name == "identity" else sizes
        shape = (sizes[0],) * 2 if name == "hippo_legs_state" else shape
        stored = law.draw(shape, Axes((1,), (0,)), seed=0, name="w", dtype="complex128")
        for index in np.ndindex(shape):
            names = {"row": index[0], "column": index[1], "tap": index[-1], "size": shape[-1]}
            names |= {"n": index[0] if name == "hippo_legs_state" else index[-1], "k": index[1]}
            names |= {"rows": shape[0], "N": 2 * shape[-1], "complex": complex}
            stated = evaluated(formula, **{**names, **given})
            assert stored[index] == pytest.approx(stated, rel=8 * oracle.ulp(np.float64))


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
    for order in (0, 1, 2, 3, 64, 96, 2**26, 2**27):
        try:
            found = hadamard.need_order(order) is None
        except ShapeError:
            found = False
        assert found == evaluated(law_of(hadamard.need_order), order=order)
    for order in (1, 2, 64, 2**13):
        stated = evaluated(law_of(hadamard.hadamard_unit), gain=1.7, order=order, products=3)
        assert hadamard.hadamard_unit(order, 3, 1.7) == pytest.approx(
            stated, rel=8 * oracle.ulp(np.float64)
        )
    for block in orthogonal.BLOCKS:
        stated = evaluated(law_of(orthogonal.mirrored_shape), rows=6, columns=4, block=block)
        assert orthogonal.mirrored_shape(6, 4, block=block) == stated


def test_no_law_is_left_unevaluated():
    """A law in words is on the reviewed list; every other is Python and is evaluated above."""
    for module in (
        *("bits", "draw", "fans", "gains", "hadamard", "orthogonal"),
        *("places", "recipes", "scattered"),
    ):
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
    assert any(re.fullmatch(message, text) for *_, text in [*MESSAGES, *LAW_MESSAGES])
