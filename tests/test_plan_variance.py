"""What a plan promises of a weight's output is what 200 independent draws give."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn

from pondera.core.laws import he_normal
from pondera.model.plan import plan_of
from pondera.model.sites import Anatomy
from tests import plan_cases
from tests.plan_cases import conv, site
from tests.test_plan import Holder

DRAWS = 200
ERRORS = 4.5  # standard errors


def promised(row):
    """Variance of an output whose inputs are all ±1."""
    return row.std**2 * row.fan_in


def held(layer, name, one, law=None):
    """A plan for a layer's one parameter, and the layer."""
    plan = plan_of(Anatomy((one,), False, 1, 0), "lecun", model=layer)
    if law is not None:
        plan[name] = law
    return plan


def outputs(plan, compute):
    """The outputs of many draws, one after another."""
    drawn = []
    with torch.no_grad():
        for seed in range(DRAWS):
            plan.initialize(seed)
            drawn.append(compute().flatten())
    return torch.stack(drawn).double()


def need_variance(found, variance):
    """Independent outputs of mean 0: the sample's mean square is off by at most 4.5 standard errors."""
    mean_square = float((found**2).mean())
    error = (2 / found.numel()) ** 0.5 * variance
    assert abs(mean_square - variance) <= ERRORS * error
    assert ERRORS * error < variance / 4  # a factor of 2 would be seen


@pytest.mark.parametrize("law", [None, he_normal()])
@pytest.mark.parametrize(
    ("out", "inside", "groups"),
    [(64, 64, 64), (128, 64, 4), (32, 16, 1)],
    ids=["depthwise", "4", "1"],
)
def test_convolutions_of_any_groups_keep_what_the_plan_promises(out, inside, groups, law):
    layer = nn.Conv2d(inside, out, 3, groups=groups, bias=False)
    plan = held(layer, "weight", conv("weight", out, inside, groups=groups), law)
    signs = torch.randn(1, inside, 3, 3, generator=torch.Generator().manual_seed(0)).sign()
    need_variance(outputs(plan, lambda: layer(signs)), promised(plan["weight"]))


@pytest.mark.parametrize(("inside", "out", "stride"), [(64, 32, 2), (32, 32, 1), (16, 48, 4)])
def test_transposed_convolutions_keep_what_the_plan_promises(inside, out, stride):
    layer = nn.ConvTranspose2d(inside, out, 4, stride, bias=False)
    one = site(
        "weight", "convolution", (inside, out, 4, 4), inside * 16 // stride**2, out * 16,
        in_axes=(0,), out_axes=(1,), spatial_axes=(2, 3), stride=(stride, stride), transposed=True,
    )  # fmt: skip
    plan = held(layer, "weight", one)
    signs = torch.randn(1, inside, 8, 8, generator=torch.Generator().manual_seed(0)).sign()
    middle = 4 * stride  # away from the rim each output sums over 16/stride² taps
    found = outputs(plan, lambda: layer(signs)[0, :, middle, middle])
    need_variance(found, promised(plan["weight"]))


@pytest.mark.parametrize("scheme", ["glorot", "signal", "gpt2"])
def test_packed_and_stacked_weights_keep_what_the_plan_promises(scheme):
    for net in (
        plan_cases.gpt(blocks=1, width=32, words=16),
        plan_cases.experts(),
        plan_cases.lstm(),
    ):
        model = Holder(net)
        plan = plan_of(net, scheme, model=model)
        rows = [row for row in plan if row.fan_in and row.std and row.role != "embedding"]
        drawn = {row.key: [] for row in rows}
        with torch.no_grad():
            for seed in range(DRAWS):
                plan.initialize(seed)
                for row in rows:
                    ends = zip(row.offset, row.shape, strict=True)
                    block = model.get_parameter(row.name)[tuple(slice(o, o + n) for o, n in ends)]
                    drawn[row.key].append(block.sum(row.in_axes).flatten())  # all inputs are 1
        for row in rows:
            need_variance(torch.stack(drawn[row.key]).double(), promised(row))
