"""Timings: ratios against a named peer in the same run, results checked before they are timed."""
