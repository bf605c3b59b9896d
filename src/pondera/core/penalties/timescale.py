"""What a decoupled decay amounts to: a memory in epochs, and a size that weights settle at."""

from __future__ import annotations

import math

from pondera.core.errors import DomainError


def _positive(where: str, hint: str, **numbers: float) -> None:
    for name, number in numbers.items():
        if not (number > 0 and math.isfinite(number)):
            raise DomainError(f"{where}: {name} must be positive; got {name}={number!r}. {hint}")


def decay_timescale(rate: float, /, *, lr: float, batch_size: int, n_samples: int) -> float:
    """Epochs over which AdamW's weights average their past updates.

    The best value is nearly the same in epochs from small to large data, between one epoch
    and the length of the training; so a decay should change with data, batch and lr.

    Law:
        batch_size / (lr * rate * n_samples)

    Args:
        rate: AdamW's `weight_decay`, > 0.
        lr: learning rate (its peak, if scheduled), > 0.
        batch_size: samples per step, ≥ 1.
        n_samples: samples per epoch, ≥ 1.

    Returns:
        Time constant in epochs, > 0.

    Raises:
        DomainError: an argument is not positive.

    Limits:
        First order in lr·rate: relative error lr·rate/2.

    Source:
        Wang & Aitchison 2025, ICML, arXiv 2405.13698, §3 (weights as a moving average).

    Checked by:
        test_decay.py::test_timescale_and_rate_are_inverse

    >>> decay_timescale(0.1, lr=1e-3, batch_size=100, n_samples=50_000)
    20.0
    """
    hint = "Without decay there is no timescale."
    _positive("decay_timescale", hint, rate=rate, lr=lr, batch_size=batch_size, n_samples=n_samples)
    return batch_size / (lr * rate * n_samples)


def decay_for_timescale(epochs: float, /, *, lr: float, batch_size: int, n_samples: int) -> float:
    """AdamW's `weight_decay` that averages updates over a number of epochs.

    Law:
        batch_size / (lr * epochs * n_samples)

    Args:
        epochs: time constant, > 0; from 1 to the number of epochs trained.
        lr: learning rate (its peak, if scheduled), > 0.
        batch_size: samples per step, ≥ 1.
        n_samples: samples per epoch, ≥ 1.

    Returns:
        A rate for `WeightDecay`, > 0.

    Raises:
        DomainError: an argument is not positive.

    Limits:
        First order in lr·rate: relative error lr·rate/2.

    Source:
        Wang & Aitchison 2025, ICML, arXiv 2405.13698, solved for the decay.

    Checked by:
        test_decay.py::test_timescale_and_rate_are_inverse
    """
    hint = "Pass the training's own numbers."
    _positive(
        "decay_for_timescale",
        hint,
        epochs=epochs,
        lr=lr,
        batch_size=batch_size,
        n_samples=n_samples,
    )
    return batch_size / (lr * epochs * n_samples)


def equilibrium_rms(rate: float, /, *, lr: float) -> float:
    """Root mean square that AdamW's weights settle at when gradients are noise.

    Weights far below it are still growing; weights far above it will shrink, whatever they
    have learnt: a report shows the two side by side.

    Law:
        sqrt(lr / (2*rate))

    Assumes:
        updates of mean square 1, independent from step to step.

    Args:
        rate: AdamW's `weight_decay`, > 0.
        lr: learning rate, > 0.

    Returns:
        A root mean square, > 0.

    Raises:
        DomainError: rate or lr is not positive.

    Limits:
        First order: independent updates settle higher by the factor 1 + lr·rate/4; Adam's own
        were measured up to 5 % lower.

    Source:
        Kosson, Messmer & Jaggi 2024, ICML, arXiv 2305.17212, §3 (equilibrium, AdamW).

    Checked by:
        test_decay.py::test_equilibrium_of_noise
    """
    _positive("equilibrium_rms", "Without decay weights grow for ever.", rate=rate, lr=lr)
    return math.sqrt(lr / (2 * rate))
