"""The colours of pictures and page, measured: contrast, and dichromatic sight."""

from itertools import combinations

import numpy as np
import pytest

from pondera.report import arms, theme

# Machado, Oliveira & Fernandes 2009, table 1, severity 1: how linear RGB is seen by dichromats.
SIGHTS = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Ottosson 2020, "A perceptual color space for image processing": linear RGB → cone → OKLab.
CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
OKLAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]
GROUNDS = {"light": theme.LIGHT, "dark": theme.DARK}


def linear(colour):
    """Linear RGB of #rrggbb."""
    stored = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def contrast(one_colour, other):
    """WCAG 2 contrast ratio."""
    light, dark = sorted(
        (linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one_colour, other)), reverse=True
    )
    return (light + 0.05) / (dark + 0.05)


def seen(colour, sight):
    """OKLab of a colour as a reader with this sight sees it."""
    return np.cbrt(
        np.clip(np.array(SIGHTS[sight]) @ linear(colour), 0, 1) @ np.transpose(CONES)
    ) @ np.transpose(OKLAB)


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_colour_stands_out_from_its_ground(ground):
    shown = GROUNDS[ground]
    assert min(contrast(colour, shown.ground) for colour in shown.series) >= 3
    for words in (shown.ink, shown.muted, shown.accent):
        assert contrast(words, shown.ground) >= 4.5
        assert contrast(words, shown.raised) >= 4.5


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("sight", SIGHTS)
def test_any_two_series_colours_are_told_apart(ground, sight):
    # 0.02 is about the least difference in OKLab that is noticed side by side.
    apart = [
        np.linalg.norm(seen(first, sight) - seen(second, sight))
        for first, second in combinations(GROUNDS[ground].series, 2)
    ]
    assert min(apart) > 4 * 0.02


def test_fifty_six_arms_have_marks_of_their_own():
    marks = [arms.Arm("", "", place, False) for place in range(57)]
    for drawn in (
        [(arm.series, arm.dash) for arm in marks],
        [(arm.series, arm.shape) for arm in marks],
    ):
        assert len(set(drawn[:56])) == 56
        assert drawn[56] == drawn[0]


def test_the_theme_of_the_page_is_made_of_variables_that_both_grounds_set():
    named = {colour for colour in vars(theme.PAGE).values() if isinstance(colour, str)}
    named |= set(theme.PAGE.series)
    for ground in GROUNDS.values():
        assert {f"var({name})" for name in theme.css_variables(ground)} == named
