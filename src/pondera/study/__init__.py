"""The study: which start a network needs, answered on its own data."""

from pondera.study.run import Settings as Settings
from pondera.study.run import study as study
