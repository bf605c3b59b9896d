"""An anatomy, indexed: what a scheme asks of it again and again, found once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pondera.core import gains
from pondera.core.errors import DomainError
from pondera.model.sites import Anatomy, Role, Site

WEIGHTS: Final[tuple[Role, ...]] = (
    "attention out",
    "convolution",
    "dense",
    "down",
    "gate",
    "head",
    "key",
    "query",
    "router",
    "up",
    "value",
)
ATTENTION: Final[frozenset[Role]] = frozenset({"attention out", "key", "query", "value"})
_SHORTCUTS: Final = ("downsample", "identity", "residual", "shortcut", "skip")
_PROBES: Final = np.concatenate([np.linspace(-6, 6, 49), [-0.01, 0.01]])


@dataclass(frozen=True)
class Branch:
    """The weights of one residual branch, first to last; the last writes to the stream.

    Args:
        names: the weights' names.
    """

    names: tuple[str, ...]

    @property
    def writer(self) -> str:
        """The weight that writes to the stream."""
        return self.names[-1]


class Survey:
    """An anatomy, indexed.

    Args:
        anatomy: what is known of the network.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self.by_name = {site.name: site for site in anatomy.sites}
        self.by_owner = dict[str, list[Site]]()
        self.by_layer = dict[str, list[Site]]()
        self.fed = dict[str, list[Site]]()
        for site in anatomy.sites:
            self.by_owner.setdefault(site.owner.path, []).append(site)
            self.by_layer.setdefault(_layer(site), []).append(site)
            if site.feed.source == "weight":
                self.fed.setdefault(site.feed.weight, []).append(site)
        self.memo = dict[Any, Any]()
        self._branches = self._found_branches()

    def roles(self) -> frozenset[Role]:
        """All roles that occur."""
        return self.kept("roles", lambda: frozenset(r for s in self.anatomy.sites for r in s.roles))

    def first(self, *roles: Role) -> Site | None:
        """The first site of one of these roles."""
        return next((s for s in self.anatomy.sites if s.role in roles), None)

    def sibling(self, site: Site) -> Site | None:
        """The largest weight with fans that the same module holds beside it, parametrised or not."""
        beside = [
            other
            for other in self.by_layer.get(_layer(site), ())
            if other is not site and other.parts[0].fan_in and _of_one_layer(site, other)
        ]
        return max(beside, key=lambda other: other.size, default=None)

    def branch(self, name: str) -> Branch | None:
        """The residual branch that a weight belongs to."""
        return self._branches.get(name)

    def shortcut(self, site: Site) -> bool:
        """Whether it lies on the projection that stands in for a skip connection, by its name."""
        words = site.name.lower().replace("_", ".").split(".")
        return any(word.startswith(_SHORTCUTS) for word in words)

    def gain(self, activation: Callable[[Any], Any], label: str = "", *, std: float = 1.0) -> float:
        """Exact forward gain of an activation; equal functions are integrated once."""
        return self.kept(
            ("gain", _print(activation), std),
            lambda: _named(gains.gain, activation, label, std=std),
        )

    def backward(
        self, activation: Callable[[Any], Any], label: str = "", *, std: float = 1.0
    ) -> float:
        """Exact backward gain of an activation."""
        return self.kept(
            ("backward", _print(activation), std),
            lambda: _named(gains.gain, activation, label, std=std, direction="backward"),
        )

    def odd_slope(self, activation: Callable[[Any], Any]) -> float | None:
        """The c of f(u) − f(−u) = c·u; None if there is none."""
        return self.kept(("odd", _print(activation)), lambda: _odd(activation))

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was found under a key before, or is found now."""
        if key not in self.memo:
            self.memo[key] = make()
        return self.memo[key]

    def _found_branches(self) -> dict[str, Branch]:
        found = dict[str, Branch]()
        for site in self.anatomy.sites:
            if site.writer is not None and site.parts[0].fan_in:
                names, at = [site.name], site
                while at.feed.source == "weight" and at.feed.weight in self.by_name:
                    at = self.by_name[at.feed.weight]
                    if at.name in names or at.writer is not None:
                        break
                    names.insert(0, at.name)
                branch = Branch(tuple(names))
                found |= dict.fromkeys(names, branch)
        return found


def _layer(site: Site) -> str:
    """Path of the layer that holds it, parametrised or not."""
    return site.owner.path.partition(".parametrizations")[0]


def _of_one_layer(site: Site, other: Site) -> bool:
    """Of several layers in one module, such as weight_ih_l0 and bias_ih_l0: the same one."""
    stems = [s.owner.leaf.replace("weight", "").replace("bias", "") for s in (site, other)]
    return stems[0] == stems[1] or not any("_l" in stem for stem in stems)


def _print(activation: Callable[[Any], Any]) -> bytes:
    """Its numbers at some points: equal ones are taken for one function."""
    try:
        with np.errstate(all="ignore"):
            return np.asarray(activation(_PROBES.copy()), dtype=np.float64).tobytes()
    except Exception:  # the quadrature says what is wrong with it
        return repr(activation).encode()


def _named(
    measure: Callable[..., float], activation: Callable[[Any], Any], label: str, **options: Any
) -> float:
    try:
        return measure(activation, **options)
    except DomainError as fact:
        if not label:
            raise
        raise DomainError(str(fact).replace(repr(activation), repr(label))) from None


def _odd(activation: Callable[[Any], Any]) -> float | None:
    try:
        return gains.odd_slope(activation)
    except DomainError:  # not finite everywhere: no such c
        return None
