"""The shape of an input in place of an input."""

from __future__ import annotations

from pondera.core.errors import DomainError, ShapeError

_DTYPES = "bfloat16 bool complex128 complex64 float16 float32 float64 int16 int32 int64 int8 uint8".split()


class Input:
    """Shape and dtype of one input, for a plan that needs no numbers.

    Args:
        shape: its lengths, each ≥ 1, the batch first where the model has it so.
        dtype: a name such as "float32" or "int64".

    Raises:
        ShapeError: no or bad lengths. DomainError: a dtype that is not known.

    >>> Input(8, 3, 32, 32)
    Input(8, 3, 32, 32, dtype='float32')
    """

    def __init__(self, *shape: int, dtype: str = "float32") -> None:
        if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in shape):
            raise ShapeError(
                f"Input: lengths must be integers ≥ 1; got shape={shape}. Pass them one by one."
            )
        if dtype not in _DTYPES:
            raise DomainError(
                f"Input: dtype must be one of {', '.join(_DTYPES)}; got dtype={dtype!r}. Name one of these."
            )
        self.shape, self.dtype = shape, dtype

    def __repr__(self) -> str:
        return f"Input({', '.join(map(str, self.shape))}, dtype={self.dtype!r})"
