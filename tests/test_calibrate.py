"""One pass sets the size of every weight's output, whatever the depth; nothing else moves."""

import math

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn
from torch.nn.functional import linear, relu

import pondera
from pondera.core.errors import DomainError
from pondera.torch.calibrate import calibration, rescale


def rms(tensor):
    return float(tensor.detach().double().square().mean().sqrt())


def outputs_of(model, batch, names):
    """What each module of these names gives, its bias aside."""
    found = {}

    def keep(name):
        def hook(module, _, output):
            bias = module.bias
            shape = (-1, *[1] * (module.weight.ndim - 2))
            found.setdefault(name, output if bias is None else output - bias.reshape(shape))

        return hook

    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        with torch.no_grad():
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def chain(activation, depth):
    layers = [nn.Linear(32, 64)]
    for _ in range(depth - 2):
        layers += [activation(), nn.Linear(64, 64)]
    return nn.Sequential(*layers, activation(), nn.Linear(64, 5))


def weights(model):
    return {name: 1.0 for name, p in model.named_parameters() if p.ndim > 1}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.SELU, nn.SiLU])
def test_every_layer_of_a_deep_chain_gets_its_size_in_one_pass(activation):
    model, batch = chain(activation, 60), torch.randn(64, 32)
    rescale(model, calibration(model, batch, weights(model)))
    names = [name.removesuffix(".weight") for name in weights(model)]
    for output in outputs_of(model, batch, names).values():
        assert math.isclose(rms(output), 1.0, rel_tol=4 * 2**-10)


def test_targets_are_kept_one_by_one():
    model, batch = chain(nn.ReLU, 3), torch.randn(64, 32)
    targets = dict(zip(weights(model), (0.5, 2.0, 7.0), strict=True))
    rescale(model, calibration(model, batch, targets))
    found = outputs_of(model, batch, [name.removesuffix(".weight") for name in targets])
    for name, target in targets.items():
        assert math.isclose(rms(found[name.removesuffix(".weight")]), target, rel_tol=4 * 2**-10)


def test_convolutions_and_batch_norms():
    """Normalised by the batch's statistics; the running ones stay."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 4, 3)
    )
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    batch = torch.randn(16, 3, 9, 9)
    factors = calibration(model.eval(), batch, weights(model))
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    rescale(model, factors)
    model.train()
    found = outputs_of(model, batch, ["0", "3"])
    assert all(math.isclose(rms(output), 1.0, rel_tol=4 * 2**-10) for output in found.values())


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 16))
        self.last = nn.Parameter(torch.randn(16, 2))

    def forward(self, x):
        for _ in range(3):
            x = relu(linear(x, self.weight))
        return torch.einsum("bi,io->bo", x, self.last)


def test_shared_and_functional_weights_keep_the_factor_of_their_first_use():
    model, batch = Shared(), torch.randn(64, 16)
    factors = calibration(model, batch, {"weight": 1.0, "last": 1.0})
    rescale(model, factors)
    with torch.no_grad():
        assert math.isclose(rms(batch @ model.weight.T), 1.0, rel_tol=4 * 2**-10)
        assert math.isclose(rms(model(batch)), 1.0, rel_tol=4 * 2**-10)


def test_a_dead_weight_is_named_and_nothing_moves():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.init.zeros_(model[2].weight)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(DomainError, match=r"2\.weight must give a signal to rescale; got nothing"):
        calibration(model, torch.randn(8, 4), weights(model))
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_a_batch_that_does_not_fit_is_one_clear_line():
    with pytest.raises(DomainError, match="calibrate: the model must accept the batch; Linear"):
        calibration(nn.Linear(4, 4), torch.randn(2, 5), {"weight": 1.0})


def test_a_weight_that_is_not_used_is_left_out():
    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.used(x)

    model = Part()
    assert set(calibration(model, torch.randn(8, 4), weights(model))) == {"used.weight"}


def test_the_global_generator_stays_where_it_was():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    batch, state = torch.randn(8, 4), torch.get_rng_state()
    calibration(model, batch, weights(model))
    assert torch.equal(torch.get_rng_state(), state)


# --- through the plan ---


def tail(model, batch):
    names = [str(k) for k in range(0, len(model), 2)]
    return [rms(output) for output in outputs_of(model, batch, names[:-1]).values()]


def test_a_plan_by_a_formula_that_does_not_fit_is_brought_to_size():
    """He's √2 is not SiLU's gain: by layer 40 the signal has vanished, and one pass brings it back."""
    model, batch = chain(nn.SiLU, 40), torch.randn(64, 32)
    plan = pondera.plan(model, batch, scheme="he").initialize(seed=0)
    assert tail(model, batch)[-1] < 0.1
    factors = plan.calibrate(batch)
    levels = tail(model, batch)
    assert max(levels) / min(levels) < 1 + 4 * 2**-10
    assert set(factors) == {f"{2 * k}.weight" for k in range(39)}


def test_a_calibrated_plan_can_be_saved_and_drawn_again(tmp_path):
    model, batch = chain(nn.Tanh, 5), torch.randn(64, 32)
    plan = pondera.plan(model, batch, scheme="glorot").initialize(seed=0)
    plan.calibrate(batch)
    kept = [p.clone() for p in model.parameters()]
    plan.save(tmp_path / "plan.toml")
    again = pondera.Plan.load(tmp_path / "plan.toml").apply(model).initialize(seed=0)
    for now, before in zip(model.parameters(), kept, strict=True):
        torch.testing.assert_close(now.detach(), before, rtol=2**-22, atol=0)
    assert not plan.diff(again)
    assert plan["2.weight"].std == pytest.approx(float(model[2].weight.detach().std()), rel=3 / 64)


def test_a_pattern_calibrates_some():
    model, batch = chain(nn.ReLU, 4), torch.randn(64, 32)
    plan = pondera.plan(model, batch, scheme="he").initialize(seed=0)
    assert set(plan.calibrate(batch, "2.weight")) == {"2.weight"}
    with pytest.raises(DomainError, match=r"pattern='6\.weight', which means none"):
        plan.calibrate(batch, "6.weight")
