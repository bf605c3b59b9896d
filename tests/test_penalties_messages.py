"""Every message of the penalties, compared whole: where: what must hold; got …. What to do."""

import numpy as np
import pytest

from pondera.core import penalties as pn
from pondera.core.errors import DomainError, ShapeError

W = np.ones((4, 6))
GROUPS = pn.Groups
ERRORS = [
    (lambda: pn.L1(-1.0), DomainError,
     "L1: strength must be finite and at least 0; got strength=-1.0. Use 0 for no penalty."),
    (lambda: pn.ElasticNet(1.0, np.inf), DomainError,
     "ElasticNet: l2 must be finite and at least 0; got l2=inf. Use 0 for no penalty."),
    (lambda: pn.MCP(1.0, gamma=0.0), DomainError,
     "MCP: gamma must be finite and above 0; got gamma=0.0. Use 3, or L1 for gamma → inf."),
    (lambda: pn.SCAD(1.0, knot=2.0), DomainError,
     "SCAD: knot must be finite and above 2; got knot=2.0. Use 3.7, as the paper does."),
    (lambda: pn.MaxNorm(0.0), DomainError,
     "MaxNorm: bound must be finite and above 0; got bound=0.0. "
     "For weights of zero remove them instead."),
    (lambda: pn.Box(2.0, 1.0), DomainError,
     "Box: low must not exceed high; got low=2.0, high=1.0. "
     "Swap them, or use -inf and inf for no bound."),
    (lambda: pn.L1(1.0).prox(W, step=-0.1), DomainError,
     "L1: step must be finite and at least 0; got step=-0.1. "
     "Pass what the optimizer multiplied its gradient by."),
    (lambda: pn.L1(1.0).prox(W, step=np.ones(3)), ShapeError,
     "L1: an array step must have the weights' shape; got step.shape=(3,), shape=(4, 6). "
     "Pass a number, or broadcast it first."),
    (lambda: pn.L1(1.0).gap(W, np.ones(3)), ShapeError,
     "L1: gradient must have the weights' shape; got gradient.shape=(3,), shape=(4, 6). "
     "Pass the gradient of the loss at these weights."),
    (lambda: pn.L1(1.0).value(np.ones(3, int)), DomainError,
     "L1: weights must be real floating-point numbers; got dtype='int64'. Convert them first."),
    (lambda: pn.GroupLasso(1.0, GROUPS.heads(axis=1, size=4)).value(W), ShapeError,
     "Groups: a size must divide its axis; got size=4, axis=1, shape=(4, 6). "
     "Choose a divisor of 6."),
    (lambda: pn.GroupLasso(1.0, GROUPS.channels(2)).value(W), ShapeError,
     "Groups: an axis must exist; got axis=2, shape=(4, 6). Choose one below 2."),
    (lambda: pn.GroupLasso(1.0, GROUPS.tiles((0, -2), (1, 1))).value(W), ShapeError,
     "Groups: axes must differ; got axes=(0, -2), shape=(4, 6). Name each once."),
    (lambda: pn.GroupLasso(1.0, GROUPS.labelled([0, 1])).value(W), ShapeError,
     "Groups: labels must have the weights' shape; got label_shape=(2,), shape=(4, 6). "
     "Label each weight."),
    (lambda: GROUPS.heads(axis=0, size=0), DomainError,
     "Groups: a group needs at least one slice; got sizes=(0,). Use 1 for one slice per group."),
    (lambda: GROUPS.labelled([0.5]), DomainError,
     "Groups: labels must be integers; got dtype='float64'. Number the groups from 0."),
    (lambda: GROUPS.labelled([0, -1]), DomainError,
     "Groups: labels must be integers of at least 0; got label=-1. "
     "Number the groups from 0; leave weights free with another penalty of strength 0."),
    (lambda: GROUPS.tiles((0, 1), (2,)), ShapeError,
     "Groups: each axis needs one size; got axes=(0, 1), sizes=(2,). Pass tuples of equal length."),
    (lambda: pn.Nuclear(1.0).value(np.ones(3)), ShapeError,
     "Nuclear: singular values need two axes; got shape=(3,). Reshape to (out, -1) first."),
    (lambda: pn.Nuclear(1.0).prox(W, step=np.eye(4, 6)), DomainError,
     "Nuclear: steps that differ must all be positive; got step=0.0. "
     "Pass one step for the matrix."),
    (lambda: pn.Distance(pn.L1(1.0), [1.0]).value(W), ShapeError,
     "Distance: weights must have the reference's shape; got shape=(4, 6), "
     "reference.shape=(1,). Pass the reference of this weight."),
    (lambda: pn.NonNegative().at(1.0), DomainError,
     "NonNegative: a path needs a strength; got a constraint. Vary its bounds instead."),
    (lambda: pn.ElasticNet(0.0, 1.0).at(1.0), DomainError,
     "ElasticNet: proportions need l1 > 0; got l1=0.0. Make the penalty anew instead."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=range(len(ERRORS)))
def test_messages_say_what_to_do(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pn.GroupLasso(0.1, "rows"), "GroupLasso: groups must be made by Groups; got groups='rows'"),
        (lambda: pn.Distance(pn.L1(0.1), np.array([1.0, np.nan])), "reference must hold numbers and no NaN"),
        (lambda: pn.L1("a"), "L1: strength must be finite and at least 0; got strength='a'"),
        (lambda: pn.L1(True), "L1: strength must be finite and at least 0; got strength=True"),
        (lambda: pn.L1(10**400), "L1: strength must be finite and at least 0"),
    ],
)  # fmt: skip
def test_what_is_no_number_or_group_is_refused_where_it_is_given(make, message):
    with pytest.raises(DomainError, match=message):
        make()
