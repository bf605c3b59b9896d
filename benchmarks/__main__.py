"""`python -m benchmarks` runs every benchmark, one after the other."""

from benchmarks import footprint

footprint.main()
