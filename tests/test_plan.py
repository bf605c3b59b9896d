"""The plan: which rows there are, how they are edited, compared and drawn; all or nothing."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn

import pondera
from pondera import laws
from pondera.core.errors import DomainError, ShapeError
from pondera.model.plan import Plan, plan_of
from pondera.model.sites import Anatomy
from pondera.torch import fill_
from tests import oracle, plan_cases
from tests.plan_cases import gpt, site

EXACT = 64 * oracle.ulp(np.float64)
ROUNDING = 32 * oracle.ulp(np.float32)


class Holder(nn.Module):
    """Parameters of the names and shapes of an anatomy, and no more."""

    def __init__(self, anatomy, device="cpu"):
        super().__init__()
        for one in anatomy.sites:
            at, *path = self, *one.name.split(".")
            for part in path[:-1]:
                if not hasattr(at, part):
                    at.add_module(part, nn.Module())
                at = getattr(at, part)
            zeros = torch.zeros(one.shape, device=device)
            at.register_parameter(path[-1], nn.Parameter(zeros, requires_grad=one.trained))


def planned(anatomy, scheme="signal"):
    """A plan, bound to a model of zeros."""
    return plan_of(anatomy, scheme, model=Holder(anatomy))


def weights(plan):
    return {name: p.detach().clone() for name, p in plan.bound("a test").named_parameters()}


def untouched(plan):
    return all(bool((tensor == 0).all()) for tensor in weights(plan).values())


# --- rows ---


def test_a_packed_parameter_has_a_row_per_block():
    plan = planned(gpt(blocks=1, width=8))
    rows = {row.label: row for row in plan["h.0.attn.c_attn.weight"]}
    assert [*rows] == ["query", "key", "value"]
    assert rows["key"].key == rows["key"].stream == "h.0.attn.c_attn.weight#key"
    assert (rows["key"].offset, rows["key"].shape, rows["key"].stored) == ((8, 0), (8, 8), (24, 8))
    assert plan["wte.weight"].packed is False
    assert len(plan) == len([*plan]) == len({row.name for row in plan}) + 2


def test_blocks_of_one_role_are_numbered():
    twice = plan_cases.packed("w", 4, ("query", "key", "query", "key"))
    keys = [row.key for row in planned(Anatomy((twice,), True, 1, 0))]
    assert keys == ["w#query.0", "w#key.0", "w#query.1", "w#key.1"]


def test_a_frozen_parameter_is_left_alone():
    net = Anatomy((site("w", "dense", (4, 4), trained=False),), False, 1, 0)
    row = planned(net)["w"]
    assert (row.law, row.kept, row.decay) == (None, True, False)
    assert row.why == "left as it is: frozen, it will not be trained"


# --- editing ---


def test_a_module_means_its_weight_without_its_bias():
    plan = planned(gpt(blocks=3, width=8))
    plan["h.*.mlp.c_fc"] = laws.zeros()
    for block in range(3):
        assert plan[f"h.{block}.mlp.c_fc.weight"].law == laws.zeros()
        assert plan[f"h.{block}.mlp.c_fc.weight"].why == "by hand"
        assert plan[f"h.{block}.mlp.c_fc.bias"].why != "by hand"


def test_blocks_names_and_patterns_are_edited():
    plan = planned(gpt(blocks=2, width=8))
    plan["h.*.attn.c_attn.weight#value"] = "normal(std=0.5)"
    assert {row.std for row in plan["*#value"]} == {0.5}
    assert {row.law for row in plan["*#key"]} == {laws.lecun_normal()}
    plan["h.?.mlp.c_proj.weight"] = "keep"
    assert plan["h.1.mlp.c_proj.weight"].kept
    plan.edit("h.1.mlp.c_fc", decay=False, rate=0.5)
    row = plan["h.1.mlp.c_fc.weight"]
    assert (row.decay, row.rate) == (False, 0.5)


@pytest.mark.parametrize(
    ("edit", "error", "told"),
    [
        (
            lambda p: p.__setitem__("h.0.mlp.c_prj", laws.zeros()),
            DomainError,
            "plan: unknown name or pattern 'h.0.mlp.c_prj'; did you mean 'h.0.mlp.c_proj'? Known: ",
        ),
        (
            lambda p: p.__setitem__("*.bias", laws.orthogonal()),
            ShapeError,
            "h.0.ln_1.bias (shape=(8,)): fans: a weight needs at least 2 axes; got shape=(8,). ",
        ),
        (
            lambda p: p.__setitem__("*.bias", laws.he_normal()),
            ShapeError,
            "h.0.ln_1.bias (shape=(8,)): laws: he_normal needs a weight that sums over inputs; got "
            "fan_in=None, fan_out=None. Use laws.zeros(), laws.ones() or laws.normal(std=…).",
        ),
        (
            lambda p: p.__setitem__("wte.weight", laws.zeros),
            DomainError,
            "plan: a row takes a law of pondera.laws, or 'keep'; got <function zeros",
        ),
        (
            lambda p: p.__setitem__("wte.weight", "normal(sdt=1)"),
            DomainError,
            "plan: law 'normal(sdt=1)' does not fit normal; ",
        ),
        (
            lambda p: p.__setitem__(0, laws.zeros()),
            DomainError,
            "plan: rows are chosen by name; got 0. Use a pattern such as 'blocks.*.mlp.down'.",
        ),
        (
            lambda p: p.edit("*.c_fc.*", stream="one"),
            DomainError,
            "plan: each row needs a stream of its own; got stream='one' for h.0.mlp.c_fc.weight and "
            "h.0.mlp.c_fc.bias. Name another, or their numbers would be equal.",
        ),
        (
            lambda p: p.edit("wte.weight", order=(0, 0)),
            ShapeError,
            "plan: wte.weight needs an order that names each of its 2 axes once; got order=(0, 0). "
            "Use (1, 0) to transpose it.",
        ),
        (
            lambda p: p.edit("wte.weight", rate=-1),
            DomainError,
            "plan: wte.weight needs 0 <= rate < inf; got rate=-1. Use 1 for the rate itself.",
        ),
    ],
)
def test_an_edit_that_does_not_fit_changes_nothing(edit, error, told):
    plan = planned(gpt(blocks=1, width=8))
    before = plan.rows
    with pytest.raises(error) as raised:
        edit(plan)
    assert str(raised.value).startswith(told)
    assert plan.rows == before


# --- drawing ---


def test_a_block_is_drawn_alone_by_its_own_name():
    plan = planned(gpt(blocks=1, width=8), "gpt2").initialize(seed=3)
    held = weights(plan)["h.0.attn.c_attn.weight"]
    for k, block in enumerate(("query", "key", "value")):
        alone = torch.empty(8, 8)
        fill_(alone, laws.normal(std=0.02), seed=3, name=f"h.0.attn.c_attn.weight#{block}")
        assert torch.equal(held[8 * k : 8 * k + 8], alone)


def test_numbers_do_not_depend_on_how_blocks_are_packed():
    """Three weights of their own, given the streams of the blocks, hold the same numbers."""
    apart = Anatomy(
        tuple(site(n, n, (8, 8), feed=plan_cases.NORM) for n in ("value", "query", "key")),
        True,
        1,
        1,
    )
    single, joint = planned(apart, "orthogonal"), planned(gpt(blocks=1, width=8), "orthogonal")
    for block in ("query", "key", "value"):
        single.edit(block, stream=f"h.0.attn.c_attn.weight#{block}")
    held = weights(joint.initialize(5))["h.0.attn.c_attn.weight"]
    parts = weights(single.initialize(5))
    assert torch.equal(held, torch.cat([parts["query"], parts["key"], parts["value"]]))


@pytest.mark.parametrize(
    "law", [laws.glorot_uniform(), laws.orthogonal(), laws.mirrored_orthogonal(block="first")]
)
def test_an_order_of_axes_gives_the_weight_of_another_framework(law):
    net = Anatomy((site("w", "dense", (6, 10)),), False, 1, 0)
    plan = planned(net)
    plan["w"] = law
    plan.edit("w", order=(1, 0), stream="layer/kernel")
    held = weights(plan.initialize(7))["w"].numpy()
    flax = pondera.numpy.weight(law, (10, 6), seed=7, name="layer/kernel")  # stored (in, out)
    if "orthogonal" in law.name:
        assert np.allclose(held.T, flax, rtol=0, atol=ROUNDING)
    else:
        assert np.array_equal(held.T, flax)


def test_stacked_experts_are_orthogonal_each_by_itself():
    plan = planned(plan_cases.experts(count=3, width=8, hidden=24))
    plan["moe.up"] = laws.orthogonal()
    plan["moe.gate"] = laws.he_normal()
    held = weights(plan.initialize(1))
    for k, expert in enumerate(held["moe.up"]):
        gram = expert.T @ expert
        assert torch.allclose(gram, torch.eye(8), atol=ROUNDING)
        alone = fill_(torch.empty(24, 8), laws.orthogonal(), seed=1, name=f"moe.up[{k}]")
        assert torch.equal(expert, alone)
    assert plan["moe.gate"].std == pytest.approx((2 / 8) ** 0.5, rel=EXACT)
    alone = fill_(torch.empty(3, 24, 8), laws.normal(std=(2 / 8) ** 0.5), seed=1, name="moe.gate")
    assert torch.equal(held["moe.gate"], alone)  # one stream: each element by itself


def test_groups_are_orthogonal_each_by_itself():
    net = Anatomy((plan_cases.conv("c.weight", 8, 4, groups=2),), False, 1, 0)
    plan = planned(net)
    plan["c.weight"] = laws.orthogonal()
    held = weights(plan.initialize())["c.weight"].reshape(2, 4, 18)
    for group in held:
        assert torch.allclose(group @ group.T, torch.eye(4), atol=ROUNDING)
    assert plan["c.weight"].std == pytest.approx(1 / 18**0.5, rel=EXACT)


def test_drawn_weights_have_the_std_that_the_plan_says():
    net = plan_cases.experts(count=4, width=64, hidden=96)
    for scheme in ("signal", "glorot", "olmo2"):
        plan = planned(net, scheme).initialize(0)
        held = weights(plan)
        for row in plan:
            spread = 5 * (1 / (2 * row.size)) ** 0.5  # five standard errors of a normal's std
            assert float(held[row.name].std(correction=0)) == pytest.approx(row.std, rel=spread)


def test_a_parameter_without_a_rule_is_an_error_that_names_it():
    net = gpt(blocks=1, width=8)
    net = replace(
        net, sites=(*net.sites, site("extra", "unused", (3,)), site("odd", "other", (2,)))
    )
    plan = planned(net)
    assert plan.uncovered == ("extra", "odd")
    with pytest.raises(DomainError) as told:
        plan.initialize()
    assert str(told.value) == (
        "plan: every parameter needs a rule; got 'extra', 'odd': no rule: the forward pass was not seen "
        "to use it. Set plan['extra'] = laws.zeros() or another law, or 'keep' to leave it alone."
    )
    assert untouched(plan)
    plan["extra"] = "keep"
    plan["odd"] = laws.ones()
    held = weights(plan.initialize())
    assert held["extra"].tolist() == [0] * 3
    assert held["odd"].tolist() == [1] * 2


def test_nothing_is_drawn_if_one_draw_fails():
    plan = planned(gpt(blocks=1, width=8))
    plan["ln_f.bias"] = laws.s4d_lin(part="whole")  # complex numbers, found out when drawn
    with pytest.raises(DomainError, match=r"^ln_f\.bias \(torch, shape=\(8,\)\): laws: s4d_lin"):
        plan.initialize()
    assert untouched(plan)


def test_a_model_without_memory_is_refused_by_name():
    net = Anatomy((site("a.weight", "dense", (4, 4)),), False, 1, 0)
    plan = plan_of(net, model=Holder(net, device="meta"))
    with pytest.raises(DomainError) as told:
        plan.initialize()
    assert str(told.value) == (
        "plan: 'a.weight' on the meta device: there is no memory to fill. Call "
        "module.to_empty(device=…), then plan.apply(model).initialize(seed)."
    )


def test_a_stale_plan_is_an_error_that_names_the_parameter():
    plan = planned(gpt(blocks=1, width=8))
    for other, told in (
        (
            gpt(blocks=2, width=8),
            "plan: the plan has no row for 'h.1.ln_1.weight', which the model has.",
        ),
        (
            gpt(blocks=1, width=8, tied=False),
            "plan: the plan has no row for 'lm_head.weight', which",
        ),
        (
            gpt(blocks=1, width=9),
            "plan: 'wte.weight' has another shape than in the plan; got shape=(512, 9)",
        ),
    ):
        with pytest.raises((DomainError, ShapeError)) as raised:
            plan.apply(Holder(other))
        assert str(raised.value).startswith(told)
    with pytest.raises(
        DomainError, match=r"the model has no parameter 'h\.0\.ln_1\.weight', which"
    ):
        plan.apply(Holder(Anatomy(gpt(width=8).sites[:2], True, 1, 1)))
    with pytest.raises(
        DomainError, match=r"^plan: initialize needs a model; got a plan without one\."
    ):
        Plan(plan.rows).initialize()


# --- comparing ---


def test_a_difference_names_what_differs():
    here, there = planned(gpt(blocks=2, width=8), "gpt2"), planned(gpt(blocks=2, width=8), "gpt2")
    assert not here.diff(there)
    assert str(here.diff(there)).endswith("17 rows compared, no difference") or len(here) != 17
    there["h.*.mlp.c_fc"] = laws.normal(std=0.5)
    there.edit("wte.weight", decay=False, stream="table")
    told = here.diff(there)
    assert {(c.name, c.field, c.here, c.there) for c in told} == {
        ("h.0.mlp.c_fc.weight", "law", "normal(std=0.02)", "normal(std=0.5)"),
        ("h.1.mlp.c_fc.weight", "law", "normal(std=0.02)", "normal(std=0.5)"),
        ("h.0.mlp.c_fc.weight", "std", "0.02", "0.5"),
        ("h.1.mlp.c_fc.weight", "std", "0.02", "0.5"),
        ("wte.weight", "decay", "yes", "no"),
        ("wte.weight", "stream", "wte.weight", "table"),
    }
    assert "h.{0,1}.mlp.c_fc.weight  × 2  law" in str(told)
    fewer = Plan(here.rows[1:])
    assert [(c.name, c.field, c.there) for c in here.diff(fewer)] == [
        ("wte.weight", "row", "absent")
    ]


def test_a_models_own_start_is_compared_by_its_numbers():
    plan = planned(gpt(blocks=1, width=64), "gpt2").initialize(2)
    assert not plan.diff_to_start()
    with torch.no_grad():
        model = plan.bound("a test")
        model.get_parameter("wte.weight").mul_(1.5)
        model.get_parameter("ln_f.weight").fill_(0.0)
        model.get_parameter("h.0.mlp.c_fc.bias").fill_(0.25)
    told = {(c.name, c.field, c.here) for c in plan.diff_to_start()}
    assert told == {
        ("wte.weight", "std", "0.02"),
        ("ln_f.weight", "mean", "1"),
        ("h.0.mlp.c_fc.bias", "mean", "0"),
    }


# --- a real model ---


def test_planning_changes_nothing_of_the_model():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 2)).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    state = torch.random.get_rng_state()
    plan = pondera.plan(model, pondera.Input(4, 8))
    assert torch.equal(state, torch.random.get_rng_state())
    assert model.training
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    plan.initialize(0)
    assert plan["0.weight"].law.position == "first"
    assert not torch.equal(before["0.weight"], model[0].weight)
