"""What is said to a call that cannot be meant, and that the optimizer is then as it was."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn

import pondera
from pondera.core import penalties as pn
from pondera.torch import Schedule, regularize, resume
from tests.bounds_cases import Lion, Weights, attached, net


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 4)
        self.turn = nn.Parameter(torch.ones(2, dtype=torch.complex64))
        self.cube = nn.Parameter(torch.ones(2, 3, 4))


class Own(pn.AbstractPenalty):
    convex, strengths = True, ()

    def _value(self, w, xp):
        return xp.sum(w * 0)

    def _prox(self, w, step, xp):
        return w

    def _gap(self, w, gradient, xp):
        return gradient

    def critical_strength(self, gradient_at_zero, /, *, xp=None):
        return 0.0


def adam(model, **options):
    return torch.optim.Adam(model.parameters(), **options)


def lbfgs(model):
    return torch.optim.LBFGS([model.first.weight])


NAMES = "cube, first.bias, first.weight, turn"
MESSAGES = {
    "a pattern without a match": (
        adam, {"fist.*": pn.L1(1.0)},
        f"regularize: unknown pattern 'fist.*'; did you mean 'first.bias'? Known: {NAMES}.",
    ),
    "two patterns": (
        adam, {"first.*": pn.L1(1.0), "*.weight": pn.L2(1.0)},
        "regularize: 'first.weight' matches two patterns; got 'first.*' and '*.weight'. "
        "Give each parameter one bound.",
    ),
    "nothing": (
        adam, {},
        "regularize: needs name patterns with a penalty each; got an empty mapping. "
        "Pass {'*.weight': L1(1e-4)}, for example.",
    ),
    "a penalty alone": (
        adam, pn.L1(1.0),
        "regularize: needs name patterns with a penalty each; got L1. "
        "Pass {'*.weight': L1(1e-4)}, for example.",
    ),
    "a class": (
        adam, {"first.weight": pn.L1},
        "regularize: 'first.weight' needs a penalty, such as L1(1e-4); got the class L1. Make one first.",
    ),
    "a number": (
        adam, {"first.weight": 0.1},
        "regularize: 'first.weight' needs a penalty, such as L1(1e-4); got 0.1. Make one first.",
    ),
    "a parameter": (
        adam, {nn.Linear: pn.L1(1.0)},
        "regularize: a pattern must be a string; got <class 'torch.nn.modules.linear.Linear'>. "
        "Pass a parameter's name.",
    ),
    "a penalty of one's own": (
        adam, {"first.weight": Own()},
        "regularize: needs a penalty made by pondera, such as L1(1e-4); got Own. Make one of Box, CPR, "
        "Distance, ElasticNet, GroupLasso, L0, L1, L2, LHalf, MCP, MaxNorm, NonNegative, Nuclear, SCAD, "
        "SparseGroupLasso, WeightDecay.",
    ),
    "complex weights": (
        adam, {"turn": pn.L1(1.0)},
        "regularize: 'turn' needs a real floating-point dtype; got torch.complex64. "
        "Leave it out of the patterns.",
    ),
    "groups that do not divide": (
        adam, {"first.weight": pn.GroupLasso(1.0, pn.Groups.heads(axis=0, size=3))},
        "first.weight (torch, shape=(4, 6)): Groups: a size must divide its axis; got size=3, axis=0, "
        "shape=(4, 6). Choose a divisor of 4.",
    ),
    "a spectrum of three axes": (
        adam, {"cube": pn.Nuclear(1.0)},
        "cube (torch, shape=(2, 3, 4)): Nuclear: singular values need two axes; got shape=(2, 3, 4). "
        "Reshape to (out, -1) first.",
    ),
    "a reference of another shape": (
        adam, {"first.bias": pn.Distance(pn.L1(1.0), torch.zeros(5))},
        "first.bias (torch, shape=(4,)): Distance: weights must have the reference's shape; got "
        "shape=(4,), reference.shape=(5,). Pass the reference of this weight.",
    ),
    "no metric": (
        lambda model: Lion(model.parameters(), lr=0.1), {"first.weight": pn.L0(1.0)},
        "regularize: L0 needs an optimizer with a diagonal metric (SGD, Adam, AdamW, NAdam, RAdam, RMSprop, "
        "Adagrad, Adamax, Adadelta, ASGD); got Lion. Use one of those, or L1, L2, ElasticNet, MCP, SCAD, "
        "GroupLasso or SparseGroupLasso.",
    ),
    "no faces": (
        lbfgs, {"first.weight": pn.WeightDecay(0.1)},
        "regularize: LBFGS needs a penalty that is smooth between its kinks; got WeightDecay. Use one of L1, "
        "L2, MCP, SCAD, Box, ElasticNet, GroupLasso, NonNegative, SparseGroupLasso, or another optimizer.",
    ),
    "a recorded step": (
        lambda model: adam(model, differentiable=True), {"first.weight": pn.L1(1.0)},
        "regularize: 'first.weight' is under differentiable=True, and the proximal step is not recorded; "
        "got Adam. Set differentiable=False.",
    ),
    "another optimizer's": (
        lambda model: torch.optim.SGD([model.cube], lr=0.1), {"first.*": pn.L1(1.0)},
        "regularize: 'first.*' matches nothing that this optimizer steps; got 'first.weight', which it does "
        "not hold. Pass the optimizer that holds it.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "bounds", "message"), MESSAGES.values(), ids=MESSAGES)
def test_messages_say_what_to_do_and_nothing_is_changed(make, bounds, message):
    model = Model()
    optimizer = make(model)
    kind, before = type(optimizer), copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError) as fault:  # noqa: PT011 (compared whole)
        regularize(optimizer, bounds, model=model)
    assert str(fault.value) == message
    assert isinstance(fault.value, (pondera.DomainError, pondera.ShapeError))
    assert type(optimizer) is kind
    assert repr(optimizer.state_dict()) == repr(before)
    assert not optimizer._optimizer_step_post_hooks


@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf")])
def test_strengths_are_checked_where_they_are_given(strength):
    with pytest.raises(
        pondera.DomainError, match="L1: strength must be finite and at least 0; got"
    ):
        pn.L1(strength)


def test_other_things_than_optimizers_models_and_schedules_are_refused():
    model = net()
    optimizer = adam(model)
    with pytest.raises(pondera.DomainError) as fault:
        regularize(model, {"*": pn.L1(1.0)}, model=model)
    assert str(fault.value) == (
        "regularize: needs a torch.optim.Optimizer; got Sequential. Pass the optimizer inside the wrapper."
    )
    with pytest.raises(pondera.DomainError) as fault:
        regularize(optimizer, {"*": pn.L1(1.0)}, model=list(model.parameters()))
    assert str(fault.value) == (
        "regularize: model must be a torch.nn.Module; got list. Pass the module that names the parameters."
    )
    with pytest.raises(pondera.DomainError) as fault:
        regularize(optimizer, {"*": pn.L1(1.0)}, model=model, schedule="cosine")
    assert str(fault.value) == (
        "regularize: schedule must be a Schedule; got str. Use pondera.torch.Schedule(steps, course='cosine')."
    )
    with pytest.raises(pondera.DomainError) as fault:
        resume(optimizer)
    assert str(fault.value) == (
        "resume: the param groups hold no bounds; got an optimizer that was never regularised. Load its "
        "state_dict first, or call regularize."
    )
    with pytest.raises(
        pondera.DomainError, match="Schedule: needs integers steps >= 1 and warmup >= 0"
    ):
        Schedule(0)
    with pytest.raises(pondera.DomainError, match="unknown course 'cosin'; did you mean 'cosine'"):
        Schedule(1, course="cosin")


def test_attaching_twice_is_refused_and_the_first_stays():
    model, optimizer, handle = attached(lambda p: torch.optim.SGD(p, lr=0.1))
    with pytest.raises(pondera.DomainError) as fault:
        regularize(optimizer, {"0.weight": pn.L2(1.0)}, model=model)
    assert str(fault.value) == (
        "regularize: '0.weight' is under a bound of this optimizer already. Call detach() on its "
        "handle first, or replace()."
    )
    assert [row.bound.split("(")[0] for row in handle.report().rows] == ["L1", "GroupLasso"]
    handle.detach()
    again = regularize(optimizer, {"0.weight": pn.L2(1.0)}, model=model)
    assert [row.bound for row in again.report().rows] == ["L2(strength=1.0)"]


def test_sparse_gradients_are_refused_before_anything_changes():
    model = nn.ModuleDict({"dense": nn.Linear(2, 2), "table": nn.Embedding(4, 2, sparse=True)})
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.1)
    regularize(optimizer, {"*.weight": pn.L1(1.0)}, model=model)
    model["dense"](model["table"](torch.tensor([1, 2]))).sum().backward()
    grads = [p.grad for p in model.parameters()]
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(pondera.DomainError) as fault:
        optimizer.step()
    assert str(fault.value) == (
        "regularize: 'table.weight' needs a dense gradient; got layout=torch.sparse_coo. Build the "
        "embedding with sparse=False, or leave it out of the patterns."
    )
    assert all(p.grad is grad for p, grad in zip(model.parameters(), grads, strict=True))
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("bound", [pn.L1(0.1), pn.L2(0.1), pn.GroupLasso(0.1, pn.Groups.rows())])
def test_a_weight_before_a_normalisation_is_warned_of(bound):
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.BatchNorm2d(3), nn.Flatten())
    with pytest.warns(UserWarning, match="normalisation 2") as said:
        regularize(adam(model), {"0.weight": bound}, model=model)
    assert str(said[0].message) == (
        "regularize: 0.weight is followed by the normalisation 2, which undoes its length: a "
        "penalty on its size changes the effective learning rate, not the function. "
        "Penalise the normalisation's own weight."
    )
    assert said[0].filename == __file__


@pytest.mark.parametrize("bound", [pn.WeightDecay(0.1), pn.MaxNorm(1.0)])
def test_a_bound_that_suits_a_normalised_weight_is_not_warned_of(bound):
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    regularize(adam(model), {"0.weight": bound}, model=model)


@pytest.mark.parametrize(
    "make",
    [torch.optim.AdamW, torch.optim.Muon, lambda p: torch.optim.Adafactor(p, weight_decay=0.1)],
)
def test_decoupled_decay_beside_a_penalty_is_warned_of(make):
    model = Weights(w=torch.ones(2, 2))
    with pytest.warns(UserWarning, match="w is under decoupled weight decay too") as said:
        regularize(make(model.parameters()), {"w": pn.L1(0.1)}, model=model)
    assert said[0].filename == __file__


def test_coupled_decay_beside_a_penalty_is_one_objective():
    model = Weights(w=torch.zeros(2, dtype=torch.float64))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=0.5)
    handle = regularize(optimizer, {"w": pn.L1(0.1)}, model=model)
    centre = torch.tensor([1.0, 0.05], dtype=torch.float64)
    for _ in range(800):
        model.w.grad = model.w.detach() - centre
        optimizer.step()
    assert abs(float(model.w[0].detach()) - 0.9 / 1.5) <= 1e-6
    assert handle.gap()["w"].max() <= 1e-6


def test_an_error_raised_by_a_warning_leaves_the_optimizer_as_it_was():
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    optimizer = adam(model)
    with pytest.raises(UserWarning):
        regularize(optimizer, {"0.weight": pn.L1(0.1)}, model=model)
    assert "pondera" not in optimizer.param_groups[0]


def test_a_compiled_models_names_are_the_plain_ones():
    model = torch.compile(net(), backend="eager")
    handle = regularize(adam(model), {"0.weight": pn.L1(0.1)}, model=model)
    assert handle.report().rows[0].name == "0.weight"
