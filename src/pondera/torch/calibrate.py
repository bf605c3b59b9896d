"""One pass on a batch in which each weight is rescaled as the signal reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import nn

from pondera.core.errors import DomainError, ShapeError
from pondera.model.trace import Operation, Product
from pondera.torch.flow import cloned, tensors_of
from pondera.torch.keep import modes_kept, seeded
from pondera.torch.observe import call_arguments, uncompiled
from pondera.torch.trace.answers import Answers
from pondera.torch.trace.fakes import copies
from pondera.torch.trace.record import Recorder

_BATCH_NORMS: Final = nn.modules.batchnorm._BatchNorm


class _Calibrator:
    """Rescales the output of each weight on its way.

    Args:
        recorder: what knows which value is made of which parameters.
        targets: name → RMS that the weight's output is to have, its bias aside.
    """

    def __init__(self, recorder: Recorder, targets: Mapping[str, float]) -> None:
        self.factors: dict[str, float] = {}
        self._recorder, self._targets = recorder, targets

    def __call__(
        self, operation: Operation, parts: list[torch.Tensor], output: torch.Tensor
    ) -> None:
        """Rescale a weight's output in place."""
        product = operation.product
        if product is None or operation.kind == "lookup":
            return
        weight = self._recorder.values[operation.inputs[product.weight]]
        names = weight.parameters & self._targets.keys()
        if len(names) != 1 or not output.is_floating_point():
            return
        (name,) = names
        bias = _bias(operation, product, parts, output)
        without = output if bias is None else output - bias
        if name not in self.factors:
            self.factors[name] = self._factor(name, without)
        factor = self.factors[name]
        output.copy_(without * factor if bias is None else without * factor + bias)

    def _factor(self, name: str, output: torch.Tensor) -> float:
        rms = float(output.double().square().mean().sqrt())
        if not 0 < rms < float("inf"):
            found = "nothing" if rms == 0 else "numbers that are not finite"
            raise DomainError(
                f"calibrate: {name} must give a signal to rescale; got {found}. "
                "Initialise it by a law that is not zero, or leave it out."
            )
        return self._targets[name] / rms


def _bias(
    operation: Operation, product: Product, parts: list[torch.Tensor], output: torch.Tensor
) -> torch.Tensor | None:
    """The bias that a product adds, shaped to be subtracted from its output."""
    rest = [p for k, p in enumerate(parts) if k not in (product.entering, product.weight)]
    if not rest:
        return None
    if operation.kind == "convolve":
        return rest[0].reshape(-1, *(1 for _ in product.field))
    return rest[0]


def calibration(model: nn.Module, batch: Any, targets: Mapping[str, float]) -> dict[str, float]:
    """Factors by which to multiply weights so that their outputs have the sizes asked for.

    One forward pass: behind each weight the signal goes on as the rescaled weight would send it, so
    that depth costs nothing; a weight that is used again keeps the factor of its first use. Batch
    normalisations use the batch's statistics and keep their running ones.

    Args:
        model: neither its weights, buffers and modes nor the global generators change.
        batch: tuple (positional), dict (keyword arguments) or the one input.
        targets: name of a weight → RMS of its output on this batch, positive, its bias aside.

    Returns:
        Name → factor, for every weight that the pass used; a name that it did not is left out.

    Raises:
        DomainError: a weight whose output is 0 or not finite, or a batch that the model does not accept.
    """
    args, kwargs = call_arguments(cloned(batch))
    stand = copies(model)
    with modes_kept(model), seeded(None), torch.no_grad(), uncompiled():
        for module in model.modules():
            module.training = isinstance(module, _BATCH_NORMS)
        recorder = Recorder(stand.parameters, tensors_of([args, kwargs]), Answers(), lambda: "")
        recorder.watcher = calibrator = _Calibrator(recorder, targets)
        try:
            with recorder:
                torch.func.functional_call(model, stand.tensors, args, kwargs)
        except (DomainError, ShapeError):
            raise
        except Exception as fault:
            told = (str(fault).strip().splitlines() or [""])[0].rstrip(".")
            raise DomainError(
                f"calibrate: the model must accept the batch; {type(model).__name__} raised "
                f"{type(fault).__name__}: {told}. Pass a batch as the model's forward takes it."
            ) from fault
    return calibrator.factors


def rescale(model: nn.Module, factors: Mapping[str, float]) -> None:
    """Multiply each weight by its factor, in place."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, factor in factors.items():
            parameters[name].mul_(factor)
