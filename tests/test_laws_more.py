"""The laws beyond the classics: the std each promises, and the outside oracle of each pattern."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pondera.core import laws
from pondera.core.activations import ACTIVATIONS
from pondera.core.draw import DTYPES
from pondera.core.errors import DomainError, ShapeError
from pondera.core.gains import gain
from pondera.core.laws.base import Axes
from pondera.core.recipes import normal_recipe
from tests import oracle
from tests.law_cases import ALL, DRAWN, EXACT, PATTERNS, TORCH
from tests.law_messages import MESSAGES

EPS = oracle.ulp(np.float64)
W = {"seed": 0, "name": "w"}
every = pytest.mark.parametrize("name", ALL)


def drawn(case, dtype="float64"):
    return case.law.draw(case.shape, case.axes, dtype=dtype, **W)


@every
def test_returned_std_is_the_std_promised(name):
    case, sample = ALL[name], drawn(ALL[name])
    count, promised = sample.size, case.law.std(case.shape, case.axes)
    if case.std:  # of the paper
        assert promised == pytest.approx(case.std, rel=64 * EPS)
    if name in EXACT:
        rms = float(np.sqrt(np.mean(sample**2)))
        assert rms == pytest.approx(promised, rel=count * EPS)
    elif name in DRAWN:
        known = case.follows is not None
        kurtosis = 3 + float(case.follows.stats(moments="k")) if known else 5.0
        assert sample.std() == pytest.approx(promised, rel=oracle.moment_tolerance(count, kurtosis))
        far = abs(sample.mean() - case.mean) / promised
        assert far < oracle.STANDARD_ERRORS / math.sqrt(count)
    else:
        noisy = 0.5 if name.startswith("sparse") else 0.01  # share of the variance that is drawn
        noisy = noisy if name.startswith(("sparse", "tiled")) else 0.0
        share = max(
            1.0, 1 / np.mean(sample != 0)
        )  # kurtosis of a sparse normal is 3 over its share
        allowed = noisy * 2 * oracle.moment_tolerance(count, 3 * share) + count * EPS
        assert sample.std() == pytest.approx(promised, rel=allowed)


@pytest.mark.parametrize("name", [n for n in DRAWN if DRAWN[n].follows is not None])
def test_draws_follow_the_distribution_named(name):
    case = DRAWN[name]
    sample = (drawn(case) - case.mean) / case.std
    assert oracle.distance(sample, case.follows.cdf) < oracle.distance_limit(sample.size)


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_law_draws_the_same_numbers_in_every_dtype(name, dtype):
    case = ALL[name]
    centred = not isinstance(case.law, laws.Uniform)  # a recipe off zero has no complex draw
    if dtype.startswith("complex") and not centred:
        return
    made = drawn(case, dtype)
    assert made.dtype == dtype
    assert made.shape == case.shape
    assert made.flags.c_contiguous
    assert made.flags.writeable
    if not dtype.startswith("complex"):
        exact = drawn(case)
        near = 4 * oracle.ulp(dtype)
        np.testing.assert_allclose(made, exact, rtol=near, atol=near * abs(exact).max())


@pytest.mark.parametrize("name", ["sparse", "tiled", "unit rows", "unit rows, output"])
def test_complex_weights_have_the_std_as_modulus(name):
    case = ALL[name]
    made = drawn(case, "complex128")
    rms = float(np.sqrt(np.mean(np.abs(made - case.mean) ** 2)))
    rms_real = float(np.sqrt(np.mean(drawn(case) ** 2)))
    assert rms == pytest.approx(rms_real, rel=4 * oracle.moment_tolerance(made.size, 40))
    parts = made[made != 0]
    assert abs(np.corrcoef(parts.real, parts.imag)[0, 1]) < 6 / math.sqrt(parts.size)


# --- powers of the fan ---


def test_torch_uniform_is_the_default_of_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer = torch.nn.Linear(40, 3000)
    bound = 1 / math.sqrt(40)
    for weight in (
        layer.weight.detach().numpy(),
        laws.torch_uniform().draw((3000, 40), TORCH, dtype="float64", **W),
    ):
        follows = stats.uniform(-bound, 2 * bound)
        assert oracle.distance(weight, follows.cdf) < oracle.distance_limit(weight.size)


@pytest.mark.parametrize(("factor", "settles"), [(None, 0.8926), (gain("sin"), 1.0)])
def test_sine_layers_settle_where_the_fixed_point_is(factor, settles):
    """With √2, v = 1 − exp(−2v); with the exact gain, v = 1."""
    fixed = 1.0
    for _ in range(60):
        fixed = (2 if factor is None else factor**2) * (1 - math.exp(-2 * fixed)) / 2
    assert math.sqrt(fixed) == pytest.approx(settles, abs=10**-4)
    rng, width, omega = np.random.default_rng(0), 700, 7.0
    signal = rng.uniform(-1, 1, (300, width))
    law = laws.siren_hidden(omega=omega, gain=factor)
    for layer in range(12):
        w = law.draw((width, width), seed=0, name=f"{layer}", dtype="float64")
        before = omega * signal @ w
        signal = np.sin(before)
    assert before.std() == pytest.approx(math.sqrt(fixed), rel=6 / math.sqrt(width))


# --- patterns ---


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 7)])
def test_identity_is_that_of_torch(shape):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    expected = torch.nn.init.eye_(torch.empty(shape)).numpy()
    np.testing.assert_array_equal(laws.identity().draw(shape, TORCH, **W), expected)
    np.testing.assert_array_equal(laws.identity(gain=3).draw(shape, **W), 3 * expected)


@pytest.mark.parametrize("field", [(3,), (4,), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize(
    ("outputs", "inputs", "groups"), [(4, 6, 1), (6, 4, 1), (6, 2, 3), (6, 5, 2)]
)
def test_dirac_is_that_of_torch(outputs, inputs, groups, field):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    shape = (outputs, inputs, *field)
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    law = laws.dirac(groups=groups)
    np.testing.assert_array_equal(law.draw(shape, TORCH, **W), expected)
    turned = law.draw((*field, inputs, outputs), **W)
    np.testing.assert_array_equal(turned, np.moveaxis(expected, (0, 1), (-1, -2)))


@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_passes_each_channel_on(groups):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    kernel = laws.dirac(groups=groups).draw((6, 6 // groups, 3, 5), TORCH, **W)
    image = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 6, 7, 8), np.float32))
    convolve = torch.nn.functional.conv2d
    passed = convolve(image, torch.from_numpy(kernel), padding="same", groups=groups)
    np.testing.assert_array_equal(passed.numpy(), image.numpy())


@given(rows=st.integers(1, 30), columns=st.integers(1, 30))
def test_tiled_identity_is_a_tiled_identity_plus_noise(rows, columns):
    law = laws.tiled_identity(noise=0.1, gain=0.7)
    made = law.draw((rows, columns), TORCH, dtype="float64", **W)
    noise = laws.normal(std=0.1 / math.sqrt(columns)).draw((rows, columns), dtype="float64", **W)
    tiled = 0.7 * (np.arange(rows)[:, None] % columns == np.arange(columns))
    # where a mean enters, the noise is rounded to the coarser grid that has room for it
    grid = normal_recipe(0.1 / math.sqrt(columns), mean=0.7).unit
    np.testing.assert_allclose(made, tiled + noise, rtol=0, atol=2 * grid)
    np.testing.assert_array_equal(made[tiled == 0], noise[tiled == 0])


def test_the_diagonal_of_a_complex_tiled_identity_has_its_share_of_noise():
    law = laws.tiled_identity(noise=1.0)
    made = law.draw((20_000, 4), TORCH, dtype="complex128", **W)
    ones = made[np.arange(20_000), np.arange(20_000) % 4]
    assert abs(ones.mean() - 1) < oracle.STANDARD_ERRORS / math.sqrt(20_000)
    for part in (ones.real, ones.imag):
        tolerance = oracle.moment_tolerance(20_000, 3)
        assert part.std() == pytest.approx(0.5 * math.sqrt(0.5), rel=tolerance)


def test_tiled_identity_keeps_a_deep_tanh_network_alive():
    """The claim of its paper: after 1000 tanh layers the inputs still differ; with Glorot's law not."""
    left = {}
    for law in (laws.tiled_identity(), laws.glorot_normal()):
        signal = np.random.default_rng(0).uniform(-1, 1, (40, 32))
        for layer in range(1000):
            w = law.draw((32, 32), seed=0, name=f"{layer}", dtype="float64")
            signal = ACTIVATIONS["tanh"](signal @ w)
        left[law.name] = signal.std(axis=0).mean()
    assert left["tiled_identity"] > 100 * left["glorot_normal"]


# --- sparse ---


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    per=st.sampled_from(["input", "output"]),
    share=st.one_of(st.none(), st.floats(0, 1)),
    connections=st.integers(1, 50),
)
def test_sparse_weights_have_their_exact_number_of_zeros(rows, columns, per, share, connections):
    law = laws.sparse(connections=connections, sparsity=share, per=per)
    made = law.draw((rows, columns), TORCH, **W)
    count = columns if per == "output" else rows
    kept = min(connections, count) if share is None else count - math.ceil(share * count)
    assert set((made != 0).sum(axis=1 if per == "output" else 0)) == {kept}
    normals = laws.normal(std=1.0).draw((rows, columns), **W)
    np.testing.assert_array_equal(made[made != 0], normals[made != 0])


@pytest.mark.parametrize("share", [0.0, 0.07, 0.1, 0.5, 0.99, 1.0])
def test_sparse_by_inputs_counts_as_torch_does(share):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.nn.init.sparse_(torch.empty(100, 7), share).numpy()
    ours = laws.sparse(sparsity=share, per="input").draw((100, 7), TORCH, **W)
    np.testing.assert_array_equal((ours == 0).sum(axis=0), (theirs == 0).sum(axis=0))


def test_sparse_choices_are_the_smallest_keys():
    made = laws.sparse(connections=3).draw((5, 4), TORCH, **W)
    for unit in range(5):
        keys = [oracle.spelled_word(4 * unit + i, tag="sparse", **W) for i in range(4)]
        assert set(np.flatnonzero(made[unit])) == set(np.argsort(keys)[:3])


def test_every_choice_of_a_sparse_law_is_as_likely():
    units, connections, inputs = 6000, 2, 5
    made = laws.sparse(connections=connections).draw((units, inputs), TORCH, **W) != 0
    seen = np.unique(made @ (2 ** np.arange(inputs)), return_counts=True)[1]
    assert seen.size == math.comb(inputs, connections)
    assert stats.chisquare(seen).pvalue > oracle.RARE


def test_sparse_columns_counts_the_field_of_a_convolution():
    made = laws.sparse(connections=4).draw((3, 3, 2, 7), **W)
    assert set((made != 0).sum(axis=(0, 1, 2))) == {4}
    made = laws.sparse(connections=4, per="input").draw((3, 3, 2, 7), **W)
    assert set((made != 0).sum(axis=(0, 1, 3))) == {4}


# --- unit rows ---


@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), factor=st.floats(1e-3, 1e3))
def test_rows_lie_on_the_sphere(shape, factor):
    made = laws.unit_rows(gain=factor).draw(shape, dtype="float64", **W)
    lengths = np.linalg.norm(made, axis=-1)
    np.testing.assert_allclose(lengths, factor, rtol=4 * EPS * shape[-1])


def test_rows_are_the_normals_of_their_name_made_one_long():
    """Python's integers and one root: correctly rounded up to 4 ulp."""
    made = laws.unit_rows().draw((3, 40), dtype="float64", **W)
    for row in range(3):
        normals = [
            oracle.spelled_quantile(oracle.spelled_word(40 * row + i, **W)) for i in range(40)
        ]
        length = math.sqrt(Fraction(sum(q * q for q in normals)))
        np.testing.assert_allclose(made[row], np.array(normals) / length, rtol=4 * EPS)


def test_rows_are_uniform_on_the_sphere():
    """Archimedes: on the sphere in three dimensions each coordinate is uniform."""
    made = laws.unit_rows().draw((20_000, 3), dtype="float64", **W)
    for column in made.T:
        assert oracle.distance(column, stats.uniform(-1, 2).cdf) < oracle.distance_limit(20_000)
    assert np.abs(np.corrcoef(made.T) - np.eye(3)).max() < oracle.STANDARD_ERRORS / math.sqrt(
        20_000
    )


def test_rows_are_those_of_the_roles_asked_for():
    kernel = laws.unit_rows(per="output").draw((5, 4, 3, 3), TORCH, dtype="float64", **W)
    np.testing.assert_allclose(np.linalg.norm(kernel.reshape(5, -1), axis=1), 1, rtol=64 * EPS)
    kernel = laws.unit_rows(per="input").draw((5, 4, 3, 3), TORCH, dtype="float64", **W)
    lengths = np.sqrt(np.square(kernel).sum(axis=(0, 2, 3)))
    np.testing.assert_allclose(lengths, 1, rtol=64 * EPS)


def test_a_row_of_zeros_becomes_a_row_of_one_length(monkeypatch):
    from pondera.core.laws import spheres

    monkeypatch.setattr(spheres, "integers", lambda w, recipe: np.zeros(w.shape, np.int32))
    made = laws.unit_rows(gain=2.0).draw((3, 4), dtype="float64", **W)
    np.testing.assert_array_equal(made, 1.0)


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "error", "text"), MESSAGES, ids=[text[:48] for *_, text in MESSAGES]
)
def test_messages_are_as_written(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
    assert type(caught.value) is error


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (3, 0)], ids=str)
@pytest.mark.parametrize(
    "law",
    [
        laws.siren_first(), laws.siren_hidden(), laws.torch_uniform(), laws.mup_output_normal(),
        laws.identity(), laws.dirac(), laws.tiled_identity(), laws.sparse(),
        laws.unit_rows(per="output"), laws.delta_orthogonal(), laws.mirrored_delta_orthogonal(),
        laws.hadamard_orthogonal(),
    ],
    ids=lambda law: law.name,
)  # fmt: skip
def test_a_shape_without_fans_is_refused_with_the_law_in_front(law, shape):
    """Drawing and asking for the std say the same, and name the law."""
    for ask in (lambda: law.draw(shape, **W), lambda: law.std(shape)):
        with pytest.raises(ShapeError, match=f"^{law.name}: fans: "):
            ask()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)], ids=str)
@pytest.mark.parametrize(
    "law",
    [laws.unit_rows(), laws.log_uniform(low=1, high=2), laws.log_time_steps(), laws.mamba2_decay(),
     laws.softplus_time_steps(), laws.hippo_legs_input(), laws.s4d_lin(), laws.s4d_real(),
     laws.small_normal(width=3)],
    ids=lambda law: law.name,
)  # fmt: skip
def test_an_empty_tensor_is_drawn_empty(law, shape):
    assert law.draw(shape, **W).shape == shape
    assert math.isfinite(law.std(shape))


@pytest.mark.parametrize("law", [laws.log_uniform(low=1, high=2), laws.softplus_time_steps()])
def test_a_single_number_is_a_tensor_without_axes(law):
    made = law.draw((), **W)
    assert made.shape == ()
    assert made.dtype == np.float32


@pytest.mark.parametrize(
    "make",
    [
        lambda n: laws.sparse(sparsity=n), lambda n: laws.tiled_identity(noise=n),
        lambda n: laws.log_uniform(low=n, high=1), lambda n: laws.log_time_steps(high=n),
        lambda n: laws.mamba2_decay(low=n), lambda n: laws.unit_rows(gain=n),
        lambda n: laws.kan_normal(inputs=3, intervals=5, fan_power=n),
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, "1", [1], 1j], ids=repr)
def test_what_is_no_number_in_range_is_refused(make, number):
    with pytest.raises(DomainError, match="laws: "):
        make(number)


def test_stds_over_the_whole_range_of_floats_are_finite():
    wide = {"low": 1e-300, "high": 1e300}
    assert laws.mamba2_decay(**wide).std(()) == 1
    assert laws.log_uniform(**wide).std(()) == pytest.approx(
        1e300 * math.sqrt(1 / (1200 * math.log(10))), rel=1 / 100
    )
    assert math.isfinite(laws.softplus_time_steps(low=1e-3, high=1e3).std(()))


@every
@pytest.mark.parametrize(
    "stream",
    [{"seed": -1, "name": "w"}, {"seed": 0, "name": ""}, {"seed": 0.5, "name": "w"}],
    ids=str,
)
def test_a_stream_that_is_none_is_refused_also_where_nothing_is_drawn(name, stream):
    case = ALL[name]
    with pytest.raises(DomainError, match=r"draw: a (seed|name) is"):
        case.law.draw(case.shape, case.axes, **stream)


@every
def test_a_dtype_that_holds_no_weight_is_refused(name):
    with pytest.raises(DomainError, match="dtype must be one of"):
        drawn(ALL[name], "int32")


def test_laws_are_records_compared_by_their_numbers():
    for case in ALL.values():
        assert hash(case.law) == hash(case.law)
    assert laws.sparse(connections=15) == laws.sparse()
    assert laws.unit_rows(gain=2) == laws.unit_rows(gain=2.0)
    assert len({case.law for case in PATTERNS.values()}) == len(PATTERNS)
    assert Axes() == Axes(None, None)
