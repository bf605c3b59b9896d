"""Schemes: role → law, as named and cited tables."""

from pondera.model.schemes.classic import SCHEMES as SCHEMES
from pondera.model.schemes.classic import Scheme as Scheme
