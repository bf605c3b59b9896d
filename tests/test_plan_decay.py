"""The plan's second decision: param groups, and decays that follow from how weights begin."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from pondera import laws
from pondera.core.errors import DomainError
from pondera.core.penalties.timescale import decay_timescale, equilibrium_rms
from pondera.model.plan import Plan
from pondera.model.schemes.mup import mup
from tests import oracle, plan_cases
from tests.test_plan import planned

EXACT = 64 * oracle.ulp(np.float64)


def named(plan, groups):
    """Parameter → (weight_decay, lr) of its group."""
    names = {id(p): name for name, p in plan.bound("a test").named_parameters()}
    return {
        names[id(p)]: (group["weight_decay"], group.get("lr"))
        for group in groups
        for p in group["params"]
    }


def test_weights_decay_and_nothing_else_does():
    plan = planned(plan_cases.gpt(blocks=2, width=8, tied=False))
    groups = plan.param_groups(0.1)
    told = named(plan, groups)
    assert {name for name, (rate, _) in told.items() if rate} == {
        "lm_head.weight",
        *(f"h.{k}.{n}.weight" for k in (0, 1) for n in ("attn.c_attn", "attn.c_proj")),
        *(f"h.{k}.{n}.weight" for k in (0, 1) for n in ("mlp.c_fc", "mlp.c_proj")),
    }
    assert len(told) == len({row.name for row in plan})
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    torch.optim.AdamW(groups, lr=1e-3)
    assert "wte.weight" in plan.decay_table()
    assert groups.table() == plan.decay_table()


def test_frozen_parameters_are_in_no_group():
    net = plan_cases.with_site(plan_cases.gpt(blocks=1, width=8), "wte.weight", trained=False)
    plan = planned(net)
    assert "wte.weight" not in named(plan, plan.param_groups(0.1))
    audit = {row.name: row for row in plan.param_groups(0.1).rows}
    assert (audit["wte.weight"].kind, audit["wte.weight"].decayed) == ("frozen", False)


def test_matched_decay_has_its_equilibrium_at_the_start():
    plan = planned(plan_cases.gpt(blocks=2, width=8), "gpt2")
    plan["h.0.mlp.c_proj"] = laws.zeros()
    rates = plan.match_decay(3e-4)
    for row in plan:
        if row.decay and row.std:
            assert equilibrium_rms(rates[row.name], lr=3e-4) == pytest.approx(row.std, rel=EXACT)
    assert set(rates) == {row.name for row in plan if row.decay}
    known = [rate for name, rate in rates.items() if name != "h.0.mlp.c_proj.weight"]
    assert rates["h.0.mlp.c_proj.weight"] == np.median(known)
    assert plan.match_decay(3e-4, otherwise=0.5)["h.0.mlp.c_proj.weight"] == 0.5
    told = named(plan, plan.param_groups(rates))
    assert told["wte.weight"][0] == rates["wte.weight"]
    assert told["ln_f.weight"][0] == 0


def test_a_packed_weight_is_matched_by_all_its_blocks():
    plan = planned(plan_cases.gpt(blocks=1, width=8), "gpt2")
    plan["*#value"] = laws.normal(std=0.04)
    rate = plan.match_decay(1e-3)["h.0.attn.c_attn.weight"]
    together = ((0.02**2 + 0.02**2 + 0.04**2) / 3) ** 0.5
    assert equilibrium_rms(rate, lr=1e-3) == pytest.approx(together, rel=EXACT)


def test_timescales_are_those_asked_for():
    plan = planned(plan_cases.gpt(blocks=1, width=8))
    training = {"lr": 1e-3, "batch_size": 100, "n_samples": 50_000}
    for rate in plan.timescale_decay(20.0, **training).values():
        assert decay_timescale(rate, **training) == pytest.approx(20.0, rel=EXACT)


def test_an_independent_decay_is_what_a_step_takes_off():
    plan = planned(plan_cases.chain("relu", (8, 128, 128, 4)), mup(base_width=64))
    told = named(plan, plan.param_groups(1e-4, lr=2e-3, independent=True))
    for row in plan:
        decay, rate = told[row.name]
        assert rate == pytest.approx(2e-3 * row.rate, rel=EXACT)
        assert decay * rate == pytest.approx(1e-4 * row.decay, rel=EXACT)


def test_mup_gives_each_group_its_learning_rate():
    plan = planned(plan_cases.chain("relu", (8, 128, 128, 4)), mup(base_width=64))
    told = named(plan, plan.param_groups(0.0, lr=1e-3))
    assert told["0.weight"][1] == told["1.bias"][1] == 1e-3
    assert told["1.weight"][1] == told["2.weight"][1] == 5e-4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"weight_decay": -1.0},
            "plan: needs 0 <= weight_decay < inf; got weight_decay=-1.0. Use 0 for",
        ),
        ({"weight_decay": {"w": 0.1}}, "plan: unknown parameter in weight_decay 'w'; "),
        ({"lr": 0.0}, "plan: needs 0 < lr < inf; got lr=0.0. Pass the peak rate."),
        (
            {"independent": True},
            "plan: independent decay needs lr; got lr=None. Pass param_groups(lr=…).",
        ),
    ],
)
def test_a_decay_that_is_none_is_refused(options, told):
    plan = planned(plan_cases.gpt(blocks=1, width=8))
    with pytest.raises(DomainError) as raised:
        plan.param_groups(**{"weight_decay": 0.1, **options})
    assert str(raised.value).startswith(told)


def test_groups_need_what_they_are_made_of():
    rated = planned(plan_cases.chain(), "mup")
    with pytest.raises(DomainError, match="a scheme with factors on the learning rate needs lr"):
        rated.param_groups(0.1)
    with pytest.raises(DomainError, match=r"^plan: param_groups needs a model"):
        Plan(rated.rows).param_groups(0.1)
    frozen = plan_cases.chain(trained=False)
    frozen = plan_cases.Anatomy(frozen.sites[:1], False, 1, 0)
    with pytest.raises(
        DomainError, match=r"^plan: needs a parameter that is trained; got 1 parameters"
    ):
        planned(frozen).param_groups(0.1)
    split = planned(plan_cases.gpt(blocks=1, width=8))
    split.edit("*#key", decay=False)
    with pytest.raises(
        DomainError, match=r"^plan: an optimizer takes 'h\.0\.attn\.c_attn\.weight' as a whole"
    ):
        split.param_groups(0.1)
