"""Fused steps as they are asked for and reported, on which threads they run, and where there is no kernel."""

import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import pondera
from pondera.core import penalties as pn
from pondera.kernel import steps
from pondera.torch import regularize
from tests.bounds_cases import net, run
from tests.test_bounds_fused import ADAM, L1, SGD, how, made

pytestmark = pytest.mark.skipif(not steps.available(), reason="no compiled kernel")

# --- threads ---


def test_no_thread_is_used_beyond_those_that_pytorch_may_use():
    """One is PyTorch's setting here: nothing is handed to a pool or a team."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["fused", "1"]


ALONE = """
import threading, torch
torch.set_num_threads(1)
from tests.test_bounds_fused import ADAM, L1, how, made
from tests.bounds_cases import Weights
model = Weights(w=torch.randn(700, 700))
_, optimizer, handle = made(ADAM, {"w": L1}, model=model)
for _ in range(3):
    model.w.grad = torch.randn(700, 700)
    optimizer.step()
print(*how(handle), threading.active_count())
"""

FORKED = """
import os, signal, torch
torch.set_num_threads(2)
from pondera.kernel import team
from tests.test_bounds_fused import ADAM, L1, how, made
from tests.bounds_cases import Weights

model = Weights(w=torch.ones(700, 700))
_, optimizer, handle = made(ADAM, {"w": L1}, model=model)
model.w.grad = torch.ones(700, 700)
for _ in range(3):
    optimizer.step()
child = os.fork()
if not child:  # where PyTorch's own parallel operations would wait for ever
    signal.alarm(20)
    optimizer.step()
    os._exit(team.size())
print(*how(handle), os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_waits_for_no_thread_of_its_parent():
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["fused", "0"]


# --- what is asked for, and said ---


def test_the_report_says_who_steps_and_why():
    _, _, handle = made(ADAM)
    row = handle.report().rows[0]
    assert row.taken_why == (
        "one pass of the compiled kernel for Adam's step and the prox, from the second step on: "
        "PyTorch makes the optimizer's state in a first step of its own"
    )
    assert made(ADAM, one_pass=False)[2].report().rows[0].taken_why == "fused=False was asked for"
    assert handle.report().plain()["rows"][0]["taken"] == "fused"
    decayed = made(SGD, {"0.weight": pn.WeightDecay(0.1)})[2].report().rows[0]
    assert decayed.taken_why == "the kernel takes proximal steps, and the way is 'decay'"
    other = made(torch.optim.RMSprop)[2].report().rows[0]
    assert other.taken_why == "the kernel steps SGD, Adam and AdamW, not RMSprop"


REFUSED = {
    "another penalty": (
        ADAM, {"0.weight": pn.MCP(0.1, 3.0)},
        "regularize: fused=True cannot be had for '0.weight': the kernel has no MCP under Adam. "
        "Leave fused out: the compiled kernel steps what it can.",
    ),
    "another optimizer": (
        torch.optim.RMSprop, {"0.weight": L1},
        "regularize: fused=True cannot be had for '0.weight': the kernel steps SGD, Adam and AdamW, not "
        "RMSprop. Leave fused out: the compiled kernel steps what it can.",
    ),
    "groups under SGD": (
        SGD, {"0.weight": pn.GroupLasso(0.1, pn.Groups.rows())},
        "regularize: fused=True cannot be had for '0.weight': the kernel has no GroupLasso under SGD. "
        "Leave fused out: the compiled kernel steps what it can.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "bounds", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_had_is_refused_and_nothing_is_changed(kind, bounds, text):
    model = net()
    optimizer = kind(model.parameters(), lr=0.1)
    before = repr(optimizer.state_dict())
    with pytest.raises(pondera.DomainError) as found:
        regularize(optimizer, bounds, model=model, fused=True)
    assert str(found.value) == text
    assert repr(optimizer.state_dict()) == before
    assert type(optimizer) is kind


def test_other_refusals():
    model, _, handle = made(ADAM, one_pass=True)
    with pytest.raises(pondera.DomainError, match="the kernel has no MCP under Adam"):
        handle.replace({"0.weight": pn.MCP(0.1, 3.0)})
    assert how(handle) == ["fused"] * 2
    handle.replace({"0.weight": pn.L2(0.1)})
    with pytest.raises(
        pondera.DomainError, match="fused must be True, False or None; got fused='yes'"
    ):
        regularize(SGD(model.parameters()), {"*": L1}, model=model, fused="yes")


WITHOUT = """
import torch, pondera
from tests.bounds_cases import net, run
model = net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
try:
    pondera.torch.regularize(optimizer, {"*.weight": pondera.L1(0.02)}, model=model, fused=True)
except pondera.MissingFramework as fault:
    print(fault)
handle = pondera.torch.regularize(optimizer, {"*.weight": pondera.L1(0.02)}, model=model)
run(model, optimizer, range(40))
row = handle.report().rows[0]
print(row.taken, row.zeros, row.taken_why, sep="; ")
"""


def test_without_the_kernel_all_works_and_says_so(monkeypatch):
    model, optimizer, handle = made(ADAM)
    run(model, optimizer, range(40))
    monkeypatch.setenv("PONDERA_KERNEL", "numpy")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "regularize: fused=True needs the compiled kernel; got PONDERA_KERNEL=numpy. Leave fused out: "
        "PyTorch then takes the step, and the proximal one follows.",
        f"framework; {handle.report().rows[0].zeros}; "
        "there is no compiled kernel (PONDERA_KERNEL=numpy)",
    ]
