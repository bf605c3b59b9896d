"""Activations by name, as functions of a float64 array; each as its own paper or PyTorch defines it."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_SELU_SLOPE: Final = 1.6732632423543772  # Klambauer et al. 2017, eq. 14
_SELU_GAIN: Final = 1.0507009873554805
_LEAK: Final = 0.01  # PyTorch's default slope


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(z / 2))  # no overflow, unlike 1 / (1 + exp(−z))


def _softplus(z: Array) -> Array:
    return np.logaddexp(0.0, z)


def _gelu(z: Array) -> Array:
    tail = np.fromiter((math.erfc(-x / math.sqrt(2)) for x in z.ravel()), float, z.size)
    return z * tail.reshape(z.shape) / 2


def _gelu_tanh(z: Array) -> Array:
    return z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2


def _elu(z: Array) -> Array:
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0.0)))


def _selu(z: Array) -> Array:
    return _SELU_GAIN * np.where(z > 0, z, _SELU_SLOPE * np.expm1(np.minimum(z, 0.0)))


ACTIVATIONS: Final = MappingProxyType[str, Callable[[Array], Array]](
    {
        "elu": _elu,
        "gelu": _gelu,
        "gelu_tanh": _gelu_tanh,
        "hardswish": lambda z: z * np.clip(z + 3, 0, 6) / 6,
        "hardtanh": lambda z: np.clip(z, -1, 1),
        "identity": lambda z: z,
        "leaky_relu": lambda z: np.where(z > 0, z, _LEAK * z),
        "mish": lambda z: z * np.tanh(_softplus(z)),
        "relu": lambda z: np.maximum(z, 0.0),
        "relu6": lambda z: np.clip(z, 0, 6),
        "relu_squared": lambda z: np.maximum(z, 0.0) ** 2,
        "selu": _selu,
        "sigmoid": _sigmoid,
        "silu": lambda z: z * _sigmoid(z),
        "sin": np.sin,
        "softplus": _softplus,
        "tanh": np.tanh,
    }
)
