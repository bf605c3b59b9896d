"""Numbers and lists as words, alike in the terminal, the captions and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ABSENT = "–"
_STEADY = 0.1  # a change by less is told in per cent


def power_of_ten(exponent: int) -> str:
    """10 raised to `exponent` as a book prints it.

    >>> power_of_ten(-4)
    '10⁻⁴'
    """
    return "10" + str(exponent).translate(_RAISED)


def number(quantity: float | None) -> str:
    """Three significant digits as a book prints them; a dash for none.

    >>> number(0.5), number(-3.1e-5), number(42187), number(6e23), number(None)
    ('0.5', '−3.1 × 10⁻⁵', '42,187', '6 × 10²³', '–')
    """
    if quantity is None or not isfinite(quantity):
        return ABSENT
    if quantity == 0 or 1e-3 <= abs(quantity) < 1000:
        text = f"{quantity:.3g}"
    elif 1000 <= abs(quantity) < 1e5:
        text = f"{quantity:,.0f}"
    else:
        mantissa, exponent = f"{quantity:.2e}".split("e")
        text = f"{float(mantissa):g} × {power_of_ten(int(exponent))}".removeprefix("1 × ")
    return text.replace("-", "−")


def short(quantity: float | None) -> str:
    """Two significant digits in seven ASCII characters, for narrow columns.

    >>> short(0.000031), short(0.25), short(-1.5e23), short(None)
    ('3.1e-5', '0.25', '-1.5e23', '–')
    """
    if quantity is None or not isfinite(quantity):
        return ABSENT
    if quantity == 0 or 1e-2 <= abs(quantity) < 1e3:
        return f"{quantity:.2g}" if abs(quantity) < 100 else f"{quantity:.0f}"
    mantissa, exponent = f"{quantity:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def percent(share: float) -> str:
    """A share of 1 in per cent, never rounded up to certainty.

    >>> percent(0.96875), percent(0.99995)
    ('96.9%', '99.9%')
    """
    return f"{min(round(100 * share, 1), 99.9):g}%"


def share(part: float | None) -> str:
    """A share of 1 in per cent, neither rounded to none nor to all; a dash for none.

    >>> share(0.1896), share(0.0003), share(0.0), share(0.9999), share(None)
    ('19.0%', '<0.1%', '0%', '>99.9%', '–')
    """
    if part is None:
        return ABSENT
    if part in (0, 1):
        return f"{100 * part:.0f}%"
    if 0.0005 <= part <= 0.9995:
        return f"{100 * part:.1f}%"
    return "<0.1%" if part < 0.5 else ">99.9%"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names as a phrase; those beyond `most` are counted.

    >>> listed(["he"]), listed(["he", "xavier", "mirrored"]), listed(list("abcdefg"))
    ('he', 'he, xavier and mirrored', 'a, b, c, d and 3 more')
    """
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def counted(amount: int, noun: str) -> str:
    """An amount with its noun in the right number.

    >>> counted(1, "run"), counted(11, "run")
    ('1 run', '11 runs')
    """
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def change(first: float | None, last: float | None) -> str:
    """What becomes of a positive quantity on its way from `first` to `last`.

    >>> change(1.0, 2.5e-4), change(1.0, 0.98), change(1.0, 0.0)
    ('falls by a factor of 4,000', 'changes by 2%', 'falls to zero')
    """
    if first is None or last is None:
        return "is lost to numbers that are not finite"
    if first == 0:
        return "is zero from the beginning"
    if last == 0:
        return "falls to zero"
    ratio = last / first
    if abs(ratio - 1) < _STEADY:
        return f"changes by {max(1, round(100 * abs(ratio - 1)))}%"
    word, factor = ("grows", ratio) if ratio > 1 else ("falls", first / last)
    return f"{word} by a factor of {number(float(f'{factor:.2g}'))}"


def clipped(text: str, most: int = 44) -> str:
    """Text of at most `most` characters, its middle left out where it is longer.

    >>> clipped("encoder.layers.11.attention.projection", 20)
    'encoder.la…rojection'
    """
    head = most // 2
    return text if len(text) <= most else f"{text[:head]}…{text[head + 1 - most :]}"
