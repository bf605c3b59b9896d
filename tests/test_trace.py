"""What a trace must see through, and what it must leave alone."""

import copy
import dataclasses
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules import module as global_hooks
from torch.utils.checkpoint import checkpoint

from pondera.core.errors import DomainError
from pondera.model.inputs import Input
from pondera.torch.trace import trace
from tests.trace_cases import Net, anatomy, roles, sites, weight

X = torch.randn(3, 8)
PAIR = {"0.weight": "dense", "2.weight": "head"}


def pair() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))


# --- what wraps a model does not hide it ---


def scripted_and_traced():
    yield torch.jit.script(pair())
    yield torch.jit.trace(pair(), X)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules_are_seen_through():
    for model in scripted_and_traced():
        assert roles(model, X) == PAIR
        inside = roles(nn.Sequential(nn.Linear(8, 8), model), X)
        assert inside == {"0.weight": "dense", "1.0.weight": "dense", "1.2.weight": "head"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_modules_are_seen_through():
    assert roles(torch.compile(pair()), X) == {f"_orig_mod.{n}": r for n, r in PAIR.items()}


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_parts_are_seen_through(reentrant):
    model = Net(
        lambda s, x: s.b(checkpoint(lambda z: s.a(z).relu(), x, use_reentrant=reentrant)),
        a=nn.Linear(8, 16),
        b=nn.Linear(16, 2),
    )
    found = sites(model, X.clone().requires_grad_())
    assert (found["b.weight"].feed.source, found["b.weight"].feed.label) == ("weight", "relu")


class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        return x @ w.t() + b

    @staticmethod
    def backward(ctx, *grads):
        raise NotImplementedError


def test_custom_autograd_functions_are_seen_through():
    model = Net(lambda s, x: s.out(Affine.apply(x, s.w, s.b).tanh()), w=weight(16, 8), b=weight(16))
    model.out = nn.Linear(16, 2)
    found = sites(model, X)
    assert (found["w"].parts[0].fan_in, found["b"].role) == (8, "bias")
    assert found["out.weight"].feed.weight == "w"


def test_vmap_is_seen_through():
    model = Net(
        lambda s, x: torch.vmap(lambda w, z: torch.tanh(z @ w), (0, None))(s.w, x),
        w=weight(4, 8, 6),
    )
    site = sites(model, X)["w"]
    assert (site.in_axes, site.out_axes, site.batch_axes) == ((1,), (2,), (0,))


def test_casts_and_autocast_are_seen_through():
    def run(s, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.linear(s.a(x).relu(), s.b.half().float())

    found = sites(Net(run, a=nn.Linear(8, 16), b=weight(2, 16)), X)
    assert (found["b"].feed.weight, found["b"].feed.label) == ("a.weight", "relu")


def test_raw_functional_calls_and_einsum_are_seen():
    def run(s, x):
        h = torch.einsum("bi,io->bo", x, s.a).relu()
        h = torch.einsum("bi,hio->bho", h, s.b).flatten(1)
        return torch.tensordot(h @ s.c, s.d, ([1], [1]))

    found = sites(
        Net(run, a=weight(8, 16), b=weight(4, 16, 6), c=weight(24, 12), d=weight(10, 12)), X
    )
    axes = {name: (site.in_axes, site.out_axes) for name, site in found.items()}
    assert axes == {"a": ((0,), (1,)), "b": ((1,), (0, 2)), "c": ((0,), (1,)), "d": ((1,), (0,))}


# --- inputs and outputs ---


@dataclasses.dataclass
class Record:
    entering: torch.Tensor
    times: int = 3


def test_nested_inputs_and_outputs_of_any_kind_are_seen():
    by_name = Net(
        lambda s, *, a, b: Record(s.x(a["k"][0]), times={"u": [s.y(b)]}),  # type: ignore[arg-type]
        x=nn.Linear(8, 2),
        y=nn.Linear(3, 2),
    )
    example = {"a": {"k": [X]}, "b": Input(3, 3)}
    assert {o.label for o in trace(by_name, example).operations} >= {"addmm"}
    assert len(trace(by_name, example).outputs) == 2
    by_record = Net(lambda s, i: s.x(i.entering) * i.times, x=nn.Linear(8, 2))
    assert roles(by_record, Record(X)) == {"x.weight": "head"}


def test_packed_sequences_are_inputs_like_others():
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(2, 5, 8), torch.tensor([5, 3]), True)
    for example in ((packed,), packed):
        graph = trace(nn.GRU(8, 16, batch_first=True), example)
        assert "gru" in {operation.label for operation in graph.operations}


def test_sequences_packed_and_padded_on_the_way():
    def run(s, x):
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True)
        return s.h(nn.utils.rnn.pad_packed_sequence(s.l(packed)[0], batch_first=True)[0])

    model = Net(run, l=nn.GRU(8, 16, batch_first=True), h=nn.Linear(16, 2))
    found = sites(model, torch.randn(2, 5, 8))
    assert [part.label for part in found["l.weight_ih_l0"].parts] == ["reset", "update", "new"]
    assert found["h.weight"].role == "head"


def test_models_and_constants_on_meta_are_traced():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    model[2].constant = torch.ones(16, device="meta")  # a plain tensor, no buffer
    model[2].forward = lambda x: F.relu(x * model[2].constant)
    assert roles(model, Input(4, 8)) == {"0.weight": "dense", "3.weight": "head"}


def test_a_lazy_module_is_refused_with_the_remedy():
    with pytest.raises(DomainError) as fault:
        trace(nn.Sequential(nn.LazyLinear(4)), X)
    assert str(fault.value) == (
        "plan: every parameter must have a shape; got '0.weight' of a lazy module. "
        "Run the model once on a batch, then plan."
    )


def test_an_example_that_does_not_fit_is_told_with_its_place(capfd):
    with pytest.raises(
        DomainError, match=r"the model must accept the example; Sequential raised"
    ) as fault:
        trace(pair(), torch.randn(3, 9))
    assert "(in 0)" in str(fault.value)
    assert capfd.readouterr().err == ""
    assert "execute=True" in str(fault.value)


# --- the model stays as it was ---


class Restless(nn.Module):
    """Caches, counts and works in place."""

    def __init__(self, fails: bool):
        super().__init__()
        self.lin, self.norm, self.drop = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(()))
        self.cache: list[torch.Tensor] = []
        self.fails, self.calls = fails, 0

    def forward(self, x):
        self.calls += 1
        self.latest = self.lin(x)
        self.cache.append(self.latest)
        self.seen += 1
        if self.fails:
            raise ValueError("as it was told to")
        return self.drop(self.norm(self.latest)) + torch.rand(8)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("execute", [False, True])
def test_the_model_is_left_as_it_was(fails, execute):
    model = Restless(fails).train()
    model.norm.eval()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    hooks = len(global_hooks._global_forward_hooks), len(global_hooks._global_forward_pre_hooks)
    if fails:
        with pytest.raises(DomainError, match="as it was told to"):
            trace(model, X, execute=execute)
    else:
        trace(model, X, execute=execute)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert [module.training for module in model.modules()] == modes
    assert (model.calls, model.cache, hasattr(model, "latest")) == (0, [], False)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]
    now = len(global_hooks._global_forward_hooks), len(global_hooks._global_forward_pre_hooks)
    assert now == hooks
    assert all(p.grad is None for p in model.parameters())


# --- control flow that depends on numbers ---


def test_both_branches_of_a_condition_are_seen():
    def run(s, x):
        h = s.a(x)
        return s.d(s.b(h) if h.sum() > 0 else s.c(h))

    found = anatomy(Net(run, **{k: nn.Linear(8, 8) for k in "abcd"}), X)
    assert found.unseen == ()
    assert found.answered == ("_local_scalar_dense in the model",)
    assert {site.role for site in found.sites} == {"bias", "dense", "head"}


def routed(s, x):
    chosen = s.r(x).argmax(-1)
    return torch.stack([s.e[chosen[t].item()](x[t]) for t in range(x.shape[0])])


def dispatched(s, x):
    weights, chosen = s.r(x).softmax(-1).topk(2)
    out = torch.zeros_like(x)
    for k, expert in enumerate(s.e):
        token, place = torch.where(chosen == k)
        if token.numel() == 0:
            continue
        out.index_add_(0, token, expert(x[token]) * weights[token, place, None])
    return x + out


@pytest.mark.parametrize("way", [routed, dispatched])
def test_every_expert_of_a_python_loop_is_seen(way):
    experts = [nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)) for _ in range(5)]
    found = anatomy(Net(way, r=nn.Linear(8, 5), e=experts), X)
    assert found.unseen == ()
    assert next(s for s in found.sites if s.name == "r.weight").role == "router"
    shapes = {site.shape: site.parts[0].fan_in for site in found.sites if len(site.shape) == 2}
    assert shapes == {(5, 8): 8, (16, 8): 8, (8, 16): 16}


def test_masks_and_counts_are_answered():
    def run(s, x):
        h = s.a(x)
        mask = h[:, 0] > 0
        h[mask] = s.b(h[mask])
        return s.c(h) + torch.masked_select(h, h > 0).sum() + torch.nonzero(h > 0).shape[0]

    found = anatomy(Net(run, **{k: nn.Linear(8, 8) for k in "abc"}), X)
    assert found.unseen == ()
    assert {told.split()[0] for told in found.answered} == {"index", "masked_select", "nonzero"}


def test_parts_of_training_alone_are_seen():
    model = Net(
        lambda s, x: (s.a(x), s.aux(x)) if s.training else s.a(x),
        a=nn.Linear(8, 2),
        aux=nn.Linear(8, 2),
    )
    assert anatomy(model.eval(), X).unseen == ()


def test_what_no_pass_uses_is_named():
    model = Net(lambda s, x: s.a(x), a=nn.Linear(8, 2), never=nn.Linear(8, 2))
    found = anatomy(model, X)
    assert found.unseen == ("never.weight", "never.bias")
    assert "not seen" in found["never.weight"].why


def test_a_pass_that_needs_numbers_runs_with_consent():
    model = Net(lambda s, x: s.e[int(np.asarray(x.detach())[0, 0] > 0)](x), e=[nn.Linear(8, 2)] * 2)
    with pytest.raises(DomainError, match="execute=True"):
        trace(model, X)
    assert anatomy(model, X, execute=True).unseen == ()


def test_long_sequences_are_no_longer_than_short_ones():
    lengths = [len(trace(nn.LSTM(8, 16), Input(n, 1, 8)).operations) for n in (4, 4000)]
    assert lengths[0] == lengths[1]
