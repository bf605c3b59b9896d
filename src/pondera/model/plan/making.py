"""Model and example → plan: one pass without numbers, roles, a scheme."""

from __future__ import annotations

from typing import Any

from pondera.model.plan.build import built
from pondera.model.plan.document import Plan
from pondera.model.plan.planner import planner_of
from pondera.model.schemes.registry import scheme_of
from pondera.model.sites import Anatomy


def plan_of(anatomy: Anatomy, scheme: Any = "signal", *, model: Any = None) -> Plan:
    """The plan of a network whose anatomy is known.

    Args:
        anatomy: what its parameters are.
        scheme: a name of `pondera.schemes()`, or a scheme.
        model: the model to bind it to, if any.

    Returns:
        The plan.

    Raises:
        DomainError: unknown scheme, or a network that it cannot serve; the parameter is named.
    """
    chosen = scheme_of(scheme)
    made = built(anatomy, chosen)
    return Plan(made.rows, scheme=chosen.name, model=model, notes=made.notes)


def plan(model: Any, example: Any, /, scheme: Any = "signal", *, execute: bool = False) -> Plan:
    """How every parameter of a model should begin and whether it decays, from one pass without numbers.

    Nothing of the model is changed, moved, run on data or re-seeded.

    Args:
        model: a torch.nn.Module on any device, also on meta.
        example: one batch: a tuple is positional, a dict keyword arguments, anything else the one input;
            `pondera.Input(8, 3, 32, 32)` stands for a tensor of that shape.
        scheme: a name of `pondera.schemes()`, or a scheme.
        execute: run the pass in earnest on the CPU, where it depends on numbers.

    Returns:
        The plan; print it, edit it, `initialize` it.

    Raises:
        DomainError: the model does not accept the example, the scheme is unknown, or cannot serve it.
    """
    from pondera.model.roles import roles_of

    chosen = scheme_of(scheme)
    planner = planner_of(model)
    anatomy = roles_of(planner.trace(model, example, execute=execute))
    return plan_of(anatomy, chosen, model=model)
