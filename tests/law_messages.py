"""Every message of the laws beyond the classics: call, class, text."""

from pondera.core import laws, places
from pondera.core.errors import DomainError, ShapeError

W = {"seed": 0, "name": "w"}


def _drawn(law, *shape, **options):
    return law.draw(shape, **W, **options)


MESSAGES = [
    (
        lambda: laws.unit_rows(gain=-1.0),
        DomainError,
        "laws: unit_rows needs 0 < gain < inf; got gain=-1.0. Pass such a number.",
    ),
    (
        lambda: laws.identity(gain=None),
        DomainError,
        "laws: identity needs 0 < gain < inf; got gain=None. Pass such a number.",
    ),
    (
        lambda: laws.siren_hidden(omega=float("nan")),
        DomainError,
        "laws: siren_hidden needs 0 < omega < inf; got omega=nan. Pass such a number.",
    ),
    (
        lambda: laws.dirac(groups=0),
        DomainError,
        "laws: dirac needs an integer groups of at least 1; got groups=0. Pass such a number.",
    ),
    (
        lambda: laws.small_normal(width=2.5),
        DomainError,
        "laws: small_normal needs an integer width of at least 1; got width=2.5. Pass such a number.",
    ),
    (
        lambda: laws.kan_normal(inputs=3, intervals=5, fan_power=float("inf")),
        DomainError,
        "laws: kan_normal needs powers between -10 and 10; got basis_power=0.5, fan_power=inf. Use 0.5 "
        "for both.",
    ),
    # patterns
    (
        lambda: _drawn(laws.identity(), 3, 4, 5),
        ShapeError,
        "laws: identity needs a matrix, every axis in or out; got shape=(3, 4, 5). Use dirac for a "
        "convolution, or pass in_axes= and out_axes=.",
    ),
    (
        lambda: _drawn(laws.dirac(), 4, 5),
        ShapeError,
        "laws: dirac needs a convolution's weight, with 1 to 3 axes beside in and out; got "
        "shape=(4, 5). Use identity for a matrix.",
    ),
    (
        lambda: _drawn(laws.dirac(groups=3), 3, 4, 5),
        ShapeError,
        "laws: dirac needs outputs that the groups divide; got outputs=5, groups=3. Pass the groups of "
        "the convolution.",
    ),
    (
        lambda: laws.tiled_identity(noise=-0.1),
        DomainError,
        "laws: tiled_identity needs 0 <= noise < inf; got noise=-0.1. Use noise=0.085.",
    ),
    # sparse
    (
        lambda: laws.sparse(sparsity=1.5),
        DomainError,
        "laws: sparse needs 0 <= sparsity <= 1; got sparsity=1.5. Pass the share of zeros.",
    ),
    (
        lambda: laws.sparse(per="column"),
        DomainError,
        "laws: unknown per 'column'; Known: input, output.",
    ),
    (
        lambda: laws.sparse(nonzero_std=float("nan")),
        DomainError,
        "normal: needs 0 <= std < inf; got std=nan. Pass such a number.",
    ),
    # rows
    (
        lambda: laws.unit_rows(per="rows"),
        DomainError,
        "laws: unknown per 'rows'; did you mean 'row'? Known: input, output, row.",
    ),
    (
        lambda: _drawn(laws.unit_rows()),
        ShapeError,
        "laws: unit_rows needs at least 1 axis; got shape=(). A single number is no row: use ones.",
    ),
    # orthogonal
    (
        lambda: _drawn(laws.delta_orthogonal(), 4, 5),
        ShapeError,
        "laws: delta_orthogonal needs a convolution's weight, with 1 to 3 axes beside in and out; got "
        "shape=(4, 5). Use orthogonal for a matrix.",
    ),
    (
        lambda: _drawn(laws.hadamard_orthogonal(), 12, 4),
        ShapeError,
        "hadamard_orthogonal: the longer side must be a power of two, at most 2**26; got 12. Use "
        "orthogonal, or such a width.",
    ),
    (
        lambda: laws.hadamard_orthogonal(products=4),
        DomainError,
        "laws: hadamard_orthogonal needs products of 1, 2 or 3; got products=4. Use products=3.",
    ),
    # state spaces
    (
        lambda: laws.log_time_steps(low=0.1, high=0.001),
        DomainError,
        "laws: log_time_steps needs finite 0 < low <= high; got low=0.1, high=0.001. Swap the bounds?",
    ),
    (
        lambda: laws.softplus_time_steps(floor=1.0),
        DomainError,
        "laws: softplus_time_steps needs 0 <= floor <= high; got floor=1.0, high=0.1. Use floor=0.0 for "
        "none.",
    ),
    (
        lambda: _drawn(laws.hippo_legs_state(), 3, 4),
        ShapeError,
        "laws: hippo_legs_state needs two last axes of one size; got shape=(3, 4). Pass (…, N, N).",
    ),
    (
        lambda: _drawn(laws.hippo_legs_input()),
        ShapeError,
        "laws: hippo_legs_input needs at least 1 axis; got shape=(). Pass (…, N).",
    ),
    (
        lambda: laws.s4d_inv(part="imag"),
        DomainError,
        "laws: unknown part 'imag'; did you mean 'imaginary'? Known: imaginary, whole.",
    ),
    (
        lambda: _drawn(laws.s4d_lin(part="whole"), 4, dtype="float32"),
        DomainError,
        "laws: s4d_lin with part='whole' needs a complex dtype; got dtype='float32'. Use "
        "part='imaginary', and a constant for the real part.",
    ),
    # slices
    (
        lambda: places.slice_of((3, 4), (0, 2), (3, 3)),
        ShapeError,
        "block: needs 0 <= offset and offset + size <= shape along every axis; got shape=(3, 4), "
        "offset=(0, 2), size=(3, 3). Pass one integer per axis of the whole tensor to each.",
    ),
]
