"""The Triton kernels draw core's numbers (tier "exact"): on a GPU if there is one, else through Triton's
interpreter; and they compile for the GPUs that we promise, with nothing in them that could round otherwise."""

import json
import os
import re
import subprocess
import sys
import warnings
from math import prod

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from hypothesis import given, settings
from hypothesis import strategies as st

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported

pytest.importorskip("triton", reason="Triton is not installed")

from pondera import kernel
from pondera.core import laws
from pondera.core.laws.base import STORED
from pondera.torch import cuda, placed

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # the interpreter's
DTYPES = (*cuda.FORMATS, torch.complex64, torch.complex128)
DRAWN = {
    "constant": laws.uniform(low=0.3, high=0.3),
    "symmetric": laws.uniform(low=-0.7, high=0.7),
    "interval": laws.uniform(low=-0.1, high=5.0),
    "normal": laws.normal(std=0.02),
    "normal about 1": laws.normal(std=0.02, mean=1.0),
    "normal about -1e4": laws.normal(std=0.02, mean=-1e4),
    "truncated": laws.truncated_normal(std=1.0),
    "half subnormal": laws.normal(std=2e-6),
    "half overflows": laws.normal(std=3e4),
}
SEED, NAME = 2**63 + 5, "encoder.0.weight"
VIEWS = {
    "row-major": lambda shape, dtype: torch.zeros(shape, dtype=dtype, device=DEVICE),
    "turned": lambda shape, dtype: torch.zeros(shape[::-1], dtype=dtype, device=DEVICE).permute(
        *reversed(range(len(shape)))
    ),
    "strided": lambda shape, dtype: torch.zeros([3 * n for n in shape], dtype=dtype, device=DEVICE)[
        tuple(slice(1, None, 3) for _ in shape)
    ],
}


def centred(law):
    recipe = law.recipe((4, 4))
    return recipe.kind == "constant" or not (recipe.offset or recipe.kind == "interval")


def filled(law, shape, dtype, *, view="row-major", offset=None, size=None, seed=SEED):
    """(the tensor, what the CPU's kernel draws)."""
    weight = kernel.weight_of(
        law, STORED, shape=shape, offset=offset, size=size, seed=seed, name=NAME
    )
    tensor = VIEWS[view](weight.size, dtype)
    assert cuda.fill(tensor, weight)
    expected = torch.empty(weight.size, dtype=dtype)
    placed.fill(expected, weight)
    return tensor.cpu(), expected


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", DRAWN)
def test_the_device_draws_core_s_bits(kind, dtype):
    law = DRAWN[kind]
    if dtype.is_complex and not centred(law):
        law = DRAWN["normal"]
    assert torch.equal(*filled(law, (700,), dtype))
    assert torch.equal(*filled(law, (9, 40), dtype, offset=(2, 3), size=(5, 30)))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("shape", [(700,), (30, 41), (6, 5, 4), (2, 3, 2, 3, 2, 3)], ids=str)
def test_any_view_is_filled(view, shape):
    for dtype in (torch.float32, torch.bfloat16, torch.complex64):
        assert torch.equal(*filled(DRAWN["normal"], shape, dtype, view=view))


def test_what_lies_between_is_untouched():
    whole = torch.full((60, 80), 7.0, device=DEVICE)
    weight = kernel.weight_of(
        DRAWN["normal"], STORED, shape=(30, 40), offset=None, size=None, seed=0, name="w"
    )
    assert cuda.fill(whole[::2, ::2], weight)
    assert (whole[1::2] == 7).all()
    assert (whole[:, 1::2] == 7).all()


@settings(max_examples=25)
@given(
    start=st.one_of(*(st.integers(max(0, 2**k - 300), 2**k + 300) for k in (0, 32, 34, 38, 50))),
    kind=st.sampled_from([*DRAWN]),
    dtype=st.sampled_from([*cuda.FORMATS]),
)
def test_elements_beyond_any_counter_word_are_core_s(start, kind, dtype):
    assert torch.equal(*filled(DRAWN[kind], (2**51,), dtype, offset=(start,), size=(600,)))


@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 2**64 - 1))
def test_slices_are_those_of_the_whole(data, seed):
    shape = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=6))
    size = [data.draw(st.integers(0, min(n, 6))) for n in shape]
    offset = [data.draw(st.integers(0, n - m)) for n, m in zip(shape, size, strict=True)]
    given_ = {"offset": offset, "size": size, "seed": seed}
    assert torch.equal(*filled(DRAWN["truncated"], shape, torch.float32, **given_))


def test_autograd_sees_that_the_tensor_changed():
    tensor = torch.zeros(30, device=DEVICE)
    weight = kernel.weight_of(
        DRAWN["normal"], STORED, shape=(30,), offset=None, size=None, seed=0, name="w"
    )
    before = tensor._version
    cuda.fill(tensor, weight)
    assert tensor._version > before


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_draws_are_centred(dtype):
    with pytest.raises(ValueError, match="centred at 0"):
        filled(DRAWN["interval"], (5,), dtype)


def test_what_the_kernels_do_not_draw_is_left_untouched():
    tensor = torch.full((4, 4), 7.0, device=DEVICE)
    for law, shape in ((laws.orthogonal(), (4, 4)), (DRAWN["normal"], (2**62, 4))):
        size = None if shape == (4, 4) else (4, 4)
        weight = kernel.weight_of(
            law, STORED, shape=shape, offset=None, size=size, seed=0, name="w"
        )
        assert not cuda.fill(tensor, weight)
    assert (tensor == 7).all()


@pytest.mark.parametrize("fault", [RuntimeError("Failed to find C compiler"), None], ids=str)
def test_a_device_that_draws_other_numbers_is_not_trusted(monkeypatch, fault):
    """The first numbers of each kind are compared; a tensor is then made on the CPU instead."""

    def launch(tensor, weight, recipe, tag):
        if fault:
            raise fault
        tensor.fill_(1.0)

    monkeypatch.setattr(cuda, "_launch", launch)
    cuda._trusted.cache_clear()
    tensor = torch.full((5,), 7.0, device=DEVICE)
    weight = kernel.weight_of(
        DRAWN["normal"], STORED, shape=(5,), offset=None, size=None, seed=0, name="w"
    )
    says = "Failed to find C compiler" if fault else "its numbers are not those of the CPU"
    with pytest.warns(RuntimeWarning, match=says):
        assert not cuda.fill(tensor, weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not cuda.fill(tensor, weight)
    assert (tensor == 7).all()
    cuda._trusted.cache_clear()


def test_empty_tensors_and_scalars_are_filled():
    for shape in ((0, 3), (), (1,)):
        made, expected = filled(DRAWN["normal"], shape, torch.float32)
        assert torch.equal(made, expected)
        assert made.numel() == prod(shape)


PROGRAM = """
import json
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from pondera.torch import cuda_kernels as kernels
places = ("*fp32", "*i16", "*fp16", "*fp64")
for function in (kernels._run_kernel, kernels._walk_kernel):
    for capability in (80, 90):
        for kind, form in ((0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3)):
            types = {name: "i32" for name in function.arg_names}
            types |= {"out": places[form], **{f"table{i}": "*i32" for i in range(3)}}
            fixed = {"kind": kind, "form": form, "width": 1024}
            types |= dict.fromkeys(fixed, "constexpr")
            source = ASTSource(function, types, fixed)
            target = GPUTarget("cuda", capability, 32)
            made = compile(source, target=target, options={"enable_fp_fusion": False})
            print(json.dumps([capability, form, bool(made.asm["cubin"]), made.asm["ptx"]]))
"""


def test_kernels_compile_and_hold_nothing_that_rounds_otherwise(tmp_path):
    """sm_80 and sm_90: one conversion, one multiplication to nearest, no fused step, no flush to zero."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    made = [json.loads(row) for row in done.stdout.splitlines()]
    assert len(made) == 2 * 2 * 7
    for capability, form, compiled, assembly in made:
        assert compiled
        assert f".target sm_{capability}" in assembly
        assert not re.search(r"\bfma|\bmad\.\w*f(32|64)|\.ftz|\.approx|\bdiv\.\w*f", assembly)
        wide = "f64" if form == 3 else "f32"
        products = re.findall(r"mul(?:\.rn)?\.(f32|f64)", assembly)
        assert products
        assert set(products) == {wide}
        assert f"cvt.rn.{wide}.s32" in assembly


def test_the_table_is_core_s():
    packed = np.load(kernel.__file__.replace("kernel/__init__.py", "core/quantile.npy"))
    constant, slope, curve = (
        column.cpu().numpy().view(np.uint32).astype(np.uint64)
        for column in cuda._columns(torch.device(DEVICE))
    )
    assert ((constant << 34 | slope << 13 | curve) == packed).all()
