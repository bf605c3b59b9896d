"""Every law, dtype and memory by every back end, tier "exact": NumPy's meaning, the kernel, PyTorch."""

import json
import threading
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import pondera.torch as pt
from pondera.core import draw as meaning
from pondera.core import laws
from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import AbstractWhole, Axes
from pondera.kernel import blocks, fills, pool
from pondera.kernel.library import LEVELS
from pondera.torch import placed
from tests import law_cases, oracle
from tests.kernel_levels import running_at
from tests.test_draw import known_recipe

KNOWN = json.loads((Path(__file__).parent / "vectors" / "draws.json").read_text())["cases"]
STREAM = {"seed": 2**63 + 5, "name": "encoder.0.weight"}
LAWS = {
    "normal": laws.normal(std=0.3),
    "far": laws.normal(std=0.02, mean=1e3),
    "truncated": laws.truncated_normal(std=0.3, cut=1.5),
    "symmetric": laws.uniform(low=-0.7, high=0.7),
    "interval": laws.uniform(low=-0.1, high=5.0),
    "constant": laws.constant(0.3),
    "glorot": laws.glorot_uniform(),
    "scaled": laws.variance_scaling(distribution="truncated_normal", fan="out"),
    "sparse": laws.sparse(sparsity=0.5),
    "rows": laws.unit_rows(),
}
CENTRED = set(LAWS) - {"far", "interval"}
level = running_at(LEVELS)
compiled = running_at(LEVELS[1:])
quiet = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
each_dtype = pytest.mark.parametrize("dtype", placed.DTYPES, ids=placed.DTYPES.values())


def by_core(law, shape, dtype, axes=pt.fill.LAYOUT):
    """The whole weight by the law itself, as tensor."""
    name = placed.DTYPES[dtype]
    if name != "bfloat16":
        return torch.from_numpy(law.draw(shape, axes, **STREAM, dtype=name))
    rounded = fills.to_bfloat16(law.draw(shape, axes, **STREAM)).view(np.int16)
    return torch.from_numpy(rounded).view(torch.bfloat16)


def drawable(law, dtype):
    return law in CENTRED or not dtype.is_complex


def same(found, expected):
    return torch.equal(found.detach().resolve_conj().resolve_neg(), expected)


# --- every law, dtype, level, memory ---


@each_dtype
@pytest.mark.parametrize("law", LAWS)
def test_fills_are_core_s_bits(level, law, dtype):
    if not drawable(law, dtype):
        tensor = torch.ones(6, 10, dtype=dtype)
        with pytest.raises(DomainError, match="a complex draw is centred at 0"):
            pt.fill_(tensor, LAWS[law], **STREAM)
        assert (tensor == 1).all()
        return
    for shape in ((6, 10), (1, 1), (33, 65, 3), (4, 3, 5, 2)):
        tensor = torch.empty(shape, dtype=dtype)
        assert pt.fill_(tensor, LAWS[law], **STREAM) is tensor
        assert same(tensor, by_core(LAWS[law], shape, dtype)), shape


@pytest.mark.parametrize("name", law_cases.ALL)
def test_every_law_fills_what_it_draws(name):
    case = law_cases.ALL[name]
    tensor = torch.empty(case.shape)
    axes = Axes((-2,), (-1,)) if case.axes == Axes() else case.axes
    if len(case.shape) < 2:
        axes = Axes()
    pt.fill_(tensor, case.law, in_axes=axes.in_axes, out_axes=axes.out_axes, **STREAM)
    axes = axes if len(case.shape) > 1 else pt.fill.LAYOUT
    assert same(tensor, by_core(case.law, case.shape, torch.float32, axes))


@st.composite
def views(draw, shape, dtype):
    """A tensor of a shape amid sevens: any order of axes, steps and first places."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.integers(1, 3)) for _ in shape]
    firsts = [draw(st.integers(0, 2)) for _ in shape]
    room = torch.full([3 * shape[axis] + 2 for axis in order], 7, dtype=dtype)
    view = room
    for dim, axis in enumerate(order):
        step, first, size = steps[dim], firsts[dim], shape[axis]
        view = view[(slice(None),) * dim + (slice(first, first + step * size, step),)]
    return room, view.permute([int(i) for i in np.argsort(order)])


@given(picked=st.data())
@quiet
def test_any_view_is_filled_where_it_lies(level, picked):
    law = picked.draw(st.sampled_from(sorted(LAWS)))
    dtype = picked.draw(st.sampled_from([d for d in placed.DTYPES if drawable(law, d)]))
    shape = tuple(picked.draw(st.lists(st.integers(1, 9), min_size=2, max_size=4)))
    room, view = picked.draw(views(shape, dtype))
    pt.fill_(view, LAWS[law], **STREAM)
    assert same(view, by_core(LAWS[law], shape, dtype))
    assert (room == 7).sum() == room.numel() - view.numel() + (view == 7).sum()


@given(picked=st.data())
@quiet
def test_a_tensor_may_be_a_slice_of_a_larger_one(level, picked):
    law = picked.draw(st.sampled_from(sorted(LAWS)))
    dtype = picked.draw(st.sampled_from([d for d in placed.DTYPES if drawable(law, d)]))
    shape = tuple(picked.draw(st.lists(st.integers(1, 9), min_size=2, max_size=4)))
    offset = tuple(picked.draw(st.integers(0, n - 1)) for n in shape)
    size = tuple(picked.draw(st.integers(1, n - o)) for n, o in zip(shape, offset, strict=True))
    _, view = picked.draw(views(size, dtype))
    assert pt.fill_(view, LAWS[law], shape=shape, offset=offset, **STREAM) is view
    place = tuple(slice(o, o + n) for o, n in zip(offset, size, strict=True))
    assert same(view, by_core(LAWS[law], shape, dtype)[place])


def test_new_tensors_may_be_slices():
    whole = pt.normal((6, 7), std=1.0, **STREAM)
    made = pt.normal((6, 7), std=1.0, offset=(1, 2), size=(3, 4), dtype=torch.float32, **STREAM)
    assert torch.equal(made, whole[1:4, 2:6])
    assert torch.equal(pt.normal((6, 7), std=1.0, offset=(4, 0), **STREAM), whole[4:])


@pytest.mark.parametrize("shape", [(7, 6), (3, 9)])
def test_a_slice_beyond_its_tensor_is_refused(shape):
    tensor = torch.ones(4, 7)
    with pytest.raises(ShapeError, match="offset \\+ size <= shape along every axis"):
        pt.normal_(tensor, std=1.0, shape=shape, **STREAM)
    assert (tensor == 1).all()


def test_channels_last_is_filled_in_place():
    tensor = torch.empty(8, 4, 3, 5).to(memory_format=torch.channels_last)
    pt.he_normal_(tensor, **STREAM)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    assert same(tensor, by_core(laws.he_normal(), (8, 4, 3, 5), torch.float32))


@pytest.mark.parametrize("law", ["normal", "truncated", "symmetric"])
def test_large_tensors_are_made_in_parts_with_the_same_bits(compiled, law):
    count = 3 * pool.SMALLEST + 77
    for shape, axes in (((count,), None), ((3, count // 3), (1, 0))):
        tensor = torch.empty(shape) if axes is None else torch.empty(shape[::-1]).permute(axes)
        pt.fill_(tensor, LAWS[law], **STREAM)
        assert same(tensor, by_core(LAWS[law], shape, torch.float32))


@pytest.mark.parametrize("case", KNOWN, ids=lambda c: f"{c['kind']}-{c['dtype']}-{c['start']}")
def test_slices_give_the_known_answers(level, case):
    """The frozen file, as the tail of a vector that begins at 0 and is never made."""
    recipe, count = known_recipe(case), case["count"]
    out = np.empty(count, case["dtype"])
    whole = {"shape": (case["start"] + count,), "offset": (case["start"],), "size": (count,)}
    stream = {"seed": case["seed"], "name": case["name"], "dtype": case["dtype"]}
    fills.fill_block(out, **whole, recipe=recipe, **stream)
    expected = meaning.draw(case["start"], count, recipe=recipe, **stream)
    assert out.tobytes() == expected.tobytes()


# --- orthogonal matrices: to rounding, whatever multiplies ---


@pytest.mark.parametrize("shape", [(400, 300), (150, 600), (8, 4, 3, 3)])
@pytest.mark.parametrize("law", [laws.orthogonal(gain=1.5), laws.mirrored_orthogonal()])
def test_orthogonal_fills_are_core_s_to_rounding(level, law, shape):
    tensor = pt.fill_(torch.empty(shape), law, **STREAM)
    expected = by_core(law, shape, torch.float32)
    assert isinstance(law, AbstractWhole)
    steps = max(shape[0], tensor[0].numel())
    far = (tensor - expected).abs().max()
    assert far <= 1.5 * steps * oracle.ulp(np.float32)
    wide = pt.fill_(torch.empty(shape, dtype=torch.float64), law, **STREAM)
    assert (wide - by_core(law, shape, torch.float64)).abs().max() <= steps * oracle.ulp(np.float64)


# --- what lies elsewhere, or not where it seems ---


@pytest.mark.parametrize(
    "make", [torch.conj, lambda x: x.conj().imag], ids=["conjugate", "negative"]
)
def test_lazily_conjugated_views_read_as_they_were_filled(make):
    view = make(torch.zeros(6, 10, dtype=torch.complex64))
    pt.he_normal_(view, **STREAM)
    assert same(view, by_core(laws.he_normal(), (6, 10), view.dtype))


def test_what_autograd_saved_is_out_of_date_after_a_fill():
    weight = torch.nn.Parameter(torch.ones(3, 4))
    loss = (weight * weight).sum()
    before = weight._version
    pt.normal_(weight, std=1.0, **STREAM)
    assert weight._version == before + 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_tensor_of_inference_mode_is_filled():
    with torch.inference_mode():
        tensor = torch.empty(6, 10)
        pt.he_normal_(tensor, **STREAM)
    assert same(tensor, by_core(laws.he_normal(), (6, 10), torch.float32))


def test_a_subclass_is_filled_by_its_own_copy():
    class Counted(torch.Tensor):
        copies = 0

        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            cls.copies += function is torch.Tensor.copy_
            return super().__torch_function__(function, types, args, kwargs or {})

    tensor = torch.empty(6, 10).as_subclass(Counted)
    pt.he_normal_(tensor, **STREAM)
    assert Counted.copies == 1
    assert torch.equal(
        tensor.as_subclass(torch.Tensor), by_core(laws.he_normal(), (6, 10), torch.float32)
    )


META = (
    "fill_: 'encoder.0.weight' lies on the meta device and has no memory: it is left as it is. Call "
    "module.to_empty(device=…), then fill it."
)


def test_a_tensor_without_memory_is_left_alone_with_a_word():
    tensor = torch.empty(3, 4, device="meta")
    with pytest.warns(RuntimeWarning) as said:
        assert pt.he_normal_(tensor, **STREAM) is tensor
    assert [str(warning.message) for warning in said] == [META]
    assert said[0].filename == __file__  # it points at the caller
    with pytest.raises(ShapeError, match="axes of shape"):
        pt.he_normal_(torch.empty(3, device="meta"), **STREAM)
    with pytest.raises(DomainError, match="a seed is an integer"):
        pt.normal_(tensor, std=1.0, seed=-1, name="w")


def test_a_fake_tensor_is_left_alone_with_a_word():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(), pytest.warns(RuntimeWarning, match="has no memory"):
        pt.he_normal_(torch.empty(3, 4), **STREAM)


def test_another_device_is_filled_by_who_registered(monkeypatch):
    """The hook, on a tensor whose device says "cuda"."""
    monkeypatch.setattr(placed, "_FILLERS", {})
    asked = []

    class Elsewhere(torch.nn.Parameter):
        is_cpu = False
        device = torch.device("cuda")

    monkeypatch.setattr(placed, "_PLAIN", (*placed._PLAIN, Elsewhere))
    for could in (False, True):
        tensor = torch.ones(3, 4).as_subclass(Elsewhere)
        placed.register("cuda", lambda t, weight, could=could: asked.append((t, weight)) or could)
        pt.he_normal_(tensor, **STREAM)
        plain = tensor.as_subclass(torch.Tensor)
        expected = torch.ones(3, 4) if could else by_core(laws.he_normal(), (3, 4), torch.float32)
        assert same(plain, expected)
    tensor, weight = asked[0]
    assert (weight.seed, weight.name, weight.shape, weight.offset) == (
        *STREAM.values(),
        (3, 4),
        None,
    )
    assert weight.recipe == laws.he_normal().recipe((3, 4), pt.fill.LAYOUT)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: torch.ones(1, 4).expand(3, 4), "overlaps itself"),
        (lambda: torch.ones(12).as_strided((3, 4), (1, 1)), "overlaps itself"),
        (lambda: torch.ones(3, 4).to_sparse(), "dense tensor"),
        (lambda: torch.ones(3, 4).to_mkldnn(), "dense tensor"),
        (lambda: torch.ones(3, 4, dtype=torch.bool), "floating point or complex"),
    ],
    ids=["expanded", "strided", "sparse", "mkldnn", "bool"],
)
def test_memory_that_cannot_be_filled_is_refused_and_untouched(make, says):
    tensor = make()
    with pytest.raises(DomainError, match=says):
        pt.he_normal_(tensor, **STREAM)
    assert (tensor.to_dense() == 1).all()


def test_interleaved_memory_that_does_not_overlap_is_filled():
    tensor = torch.ones(12).as_strided((3, 2), (2, 3))  # places 0 3 2 5 4 7
    pt.he_normal_(tensor, **STREAM)
    assert same(tensor, by_core(laws.he_normal(), (3, 2), torch.float32))
    assert blocks.overlaps((3, 2), (1, 1))


# --- what it costs ---


def test_nothing_as_large_as_the_tensor_is_made_beside_it(compiled):
    tensor = torch.empty(1024, 1024, dtype=torch.bfloat16)
    pt.normal_(tensor[:8], std=1.0, **STREAM)  # what is kept for later
    tracemalloc.start()
    pt.normal_(tensor, std=1.0, **STREAM)
    pt.normal_(tensor.t(), std=1.0, **STREAM)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < tensor.numel() / 8  # bytes: the walks of its parts


# --- threads ---


def test_several_threads_may_fill_at_once(compiled):
    shapes = [(3, 5), (64, 64), (700, 300), (2, 2**17)]
    filled, faults = {}, []

    def work(number):
        try:
            for shape in shapes:
                tensor = torch.empty(shape)
                pt.normal_(tensor, std=1.0, seed=number, name="w")
                filled[number, shape] = tensor
        except BaseException as fault:
            faults.append(fault)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert faults == []
    for (number, shape), tensor in filled.items():
        expected = laws.normal(std=1.0).draw(shape, seed=number, name="w")
        np.testing.assert_array_equal(tensor.numpy(), expected)


def test_no_warning_is_given_where_all_is_well(level):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pt.normal_(torch.empty(5), std=1.0, **STREAM)
