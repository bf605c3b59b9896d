"""Penalties where steps are not plain: closures, compilation, subclasses, schedules, several groups."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn

import pondera
from pondera.core import penalties as pn
from pondera.torch import Schedule, regularize, resume
from tests.bounds_cases import MAKERS, Lion, Weights, attached, batch, equal, net, run, weights

DOUBLE = torch.float64
SGD, ADAM = torch.optim.SGD, torch.optim.Adam

# --- closures, compilation, subclasses, schedulers ---


@pytest.mark.parametrize("maker", ["SGD", "Adam", "Lion", "Adafactor"])
def test_a_closure_gives_the_same_steps(maker):
    model, optimizer, _ = attached(MAKERS[maker])
    twin, other, _ = attached(MAKERS[maker])
    run(twin, other, range(10))
    for step in range(10):
        inputs, target = batch(step)

        def closure(inputs=inputs, target=target):
            optimizer.zero_grad()
            loss = (model(inputs) - target).square().mean()
            loss.backward()
            return loss

        with torch.no_grad():
            loss = (model(inputs) - target).square().mean()
        found = optimizer.step(closure)
        if maker in ("SGD", "Adam"):
            assert torch.equal(found, loss)
    assert equal(weights(model), weights(twin))


@pytest.mark.parametrize("maker", ["Adam", "Lion"])
def test_a_closure_that_is_not_called_leaves_the_gradients_in_force(maker):
    class Deaf({"Adam": ADAM, "Lion": Lion}[maker]):
        def step(self, closure=None):
            return super().step()

    model, optimizer, handle = attached(lambda p: Deaf(p, lr=0.01))
    inputs, target = batch(0)
    (model(inputs) - target).square().mean().backward()
    model[0].weight.grad.zero_()
    before = model[0].weight.detach().clone()
    optimizer.step(lambda: None)
    assert handle.report().rows[0].way == "orthant"
    assert (model[0].weight.abs() < before.abs()).all()


def test_a_subclass_that_calls_its_parents_step_is_hooked_once():
    class Loud(ADAM):
        def step(self, closure=None):
            return super().step(closure)

    ADAM([nn.Parameter(torch.ones(1))])  # PyTorch then hooks the parent's step too
    model, optimizer, handle = attached(lambda p: Loud(p, lr=0.01), DOUBLE)
    run(model, optimizer, range(4), DOUBLE)
    assert handle.report().steps == 4
    assert handle.report().rows[0].way == "orthant"


@pytest.mark.filterwarnings("ignore")  # of the compiler's own
def test_a_compiled_step_still_regularises():
    twin, other, _ = attached(MAKERS["Adam"], DOUBLE)
    run(twin, other, range(5), DOUBLE)
    model, optimizer, _ = attached(MAKERS["Adam"], DOUBLE)
    step = torch.compile(optimizer.step, backend="eager")
    for index in range(5):
        inputs, target = batch(index, DOUBLE)
        optimizer.zero_grad()
        (model(inputs) - target).square().mean().backward()
        step()
    torch.compiler.reset()
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        assert (ours - theirs).abs().max() <= 1e-5  # compiled, Adam counts in float32


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_training_step_still_regularises():
    twin, other, _ = attached(MAKERS["Adam"], DOUBLE)
    run(twin, other, range(5), DOUBLE)
    model, optimizer, _ = attached(MAKERS["Adam"], DOUBLE)

    @torch.compile(backend="eager")
    def train(inputs, target):
        optimizer.zero_grad()
        (model(inputs) - target).square().mean().backward()
        optimizer.step()

    for index in range(5):
        train(*batch(index, DOUBLE))
    torch.compiler.reset()
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        assert (ours - theirs).abs().max() <= 1e-5  # compiled, Adam counts in float32


@pytest.mark.parametrize("early", [True, False])
def test_learning_rate_schedules_carry_the_strength_along(early):
    model = Weights(w=torch.ones(1, dtype=DOUBLE))
    optimizer = SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR
    course = schedule(optimizer, 1, 0.5) if early else None
    regularize(optimizer, {"w": pn.L1(1.0)}, model=model)
    course = course or schedule(optimizer, 1, 0.5)
    for _ in range(3):
        model.w.grad = torch.zeros(1, dtype=DOUBLE)
        optimizer.step()
        course.step()
    assert abs(float(model.w.detach()) - (1 - 0.1 * 1.75)) <= 1e-15


@pytest.mark.parametrize("kind", [SGD, ADAM])
def test_a_learning_rate_may_be_a_tensor(kind):
    found = []
    for lr in (0.01, torch.tensor(0.01)):
        model, optimizer, _ = attached(lambda p, lr=lr: kind(p, lr=lr, foreach=False), DOUBLE)
        run(model, optimizer, range(5), DOUBLE)
        found.append(weights(model))
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).abs().max() <= 1e-8  # 0.01 in float32


def test_strength_follows_its_own_schedule():
    model = Weights(w=torch.ones(1, dtype=DOUBLE))
    optimizer = SGD(model.parameters(), lr=0.1)
    course = Schedule(4, course="linear", warmup=2)
    handle = regularize(optimizer, {"w": pn.L1(1.0)}, model=model, schedule=course)
    strengths = []
    for _ in range(6):
        strengths.append(handle.report().rows[0].strength)
        model.w.grad = torch.zeros(1, dtype=DOUBLE)
        optimizer.step()
    assert strengths == [0.5, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert abs(float(model.w.detach()) - 0.8) <= 1e-15


# --- several optimizers, groups, ties ---


def test_two_optimizers_share_a_model():
    model = net()
    first, second = ADAM(model[0].parameters()), SGD(model[2].parameters(), lr=0.1)
    regularize(first, {"0.weight": pn.L1(0.1)}, model=model)
    with pytest.raises(
        pondera.DomainError, match=r"'0\.\*' matches nothing that this optimizer steps"
    ):
        regularize(second, {"0.*": pn.L1(0.1)}, model=model)
    handle = regularize(second, {"*": pn.L2(0.1)}, model=model)
    assert [row.name for row in handle.report().rows] == ["2.weight", "2.bias"]


def test_a_group_added_later_is_free_until_it_is_asked_for():
    model = net()
    optimizer = SGD(model[0].parameters(), lr=0.1)
    first = regularize(optimizer, {"*.weight": pn.L1(0.1)}, model=model)
    optimizer.add_param_group({"params": list(model[2].parameters()), "lr": 0.2})
    run(model, optimizer, range(2))
    second = regularize(optimizer, {"2.weight": pn.L1(0.2)}, model=model)
    run(model, optimizer, range(2, 40))
    assert [row.name for row in first.report().rows] == ["0.weight"]
    assert [row.name for row in second.report().rows] == ["2.weight"]
    second.detach()
    assert [row.name for row in resume(optimizer).report().rows] == ["0.weight"]


def test_parameters_taken_out_of_a_group_by_hand_are_noticed():
    _, optimizer, _ = attached(MAKERS["SGD"])
    del optimizer.param_groups[0]["params"][0]
    with pytest.raises(pondera.DomainError, match="a param group must keep its parameters"):
        optimizer.step()


def test_tied_weights_go_by_either_name_and_are_one():
    model = nn.ModuleDict({"read": nn.Linear(3, 3), "write": nn.Linear(3, 3)})
    model["write"].weight = model["read"].weight
    for name in ("read.weight", "write.weight"):
        optimizer = SGD(model.parameters(), lr=0.1)
        handle = regularize(optimizer, {name: pn.L1(1.0)}, model=model)
        assert len(handle.report().rows) == 1
    optimizer = SGD(model.parameters(), lr=0.1)
    assert len(regularize(optimizer, {"*.weight": pn.L1(1.0)}, model=model).report().rows) == 1
    both = {"read.weight": pn.L1(1.0), "write.weight": pn.L1(2.0)}
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(pondera.DomainError, match=r"'write\.weight' matches two patterns"):
        regularize(optimizer, both, model=model)


def test_many_small_parameters_are_stepped_as_each_alone():
    """They are joined for speed: other learning rates, counts and absences part them again."""
    torch.manual_seed(0)
    model = Weights(**{f"w{k}": torch.randn(3, 2, dtype=DOUBLE) for k in range(6)})
    twins = copy.deepcopy(model)
    groups = [[f"w{k}" for k in range(3)], [f"w{k}" for k in range(3, 6)]]

    def optimizers(source, parts):
        named = dict(source.named_parameters())
        return [
            ADAM([{"params": [named[n] for n in part], "lr": lr} for part, lr in part_and_rate])
            for part_and_rate in parts
        ]

    (joint,) = optimizers(model, [[(groups[0], 0.1), (groups[1], 0.02)]])
    alone = optimizers(
        twins, [[([n], lr)] for part, lr in zip(groups, (0.1, 0.02), strict=True) for n in part]
    )
    regularize(joint, {"*": pn.L1(0.05)}, model=model)
    for optimizer, name in zip(alone, twins.state_dict(), strict=True):
        regularize(optimizer, {name: pn.L1(0.05)}, model=twins)
    for step in range(30):
        for index, name in enumerate(model.state_dict()):
            present = step % (index + 2)
            for source in (model, twins):
                w = getattr(source, name)
                w.grad = (w.detach() - 0.3) * (1 + index) if present else None
        joint.step()
        for optimizer in alone:
            optimizer.step()
    assert equal(weights(model), weights(twins))


def test_large_parameters_are_stepped_as_in_one_piece(monkeypatch):
    from pondera.torch.bounds import lots

    found = []
    for piece in (lots.PIECE, 64):
        monkeypatch.setattr(lots, "PIECE", piece)
        monkeypatch.setattr(lots, "SMALL", min(piece, lots.SMALL))
        torch.manual_seed(0)
        model = Weights(w=torch.randn(20, 50), t=torch.randn(50, 20).t())
        optimizer = ADAM(model.parameters(), lr=0.01)
        regularize(optimizer, {"*": pn.L1(0.05)}, model=model)
        for _ in range(5):
            for p in model.parameters():
                p.grad = p.detach() - 0.1
            optimizer.step()
        found.append(weights(model))
    assert equal(*found)
