"""Artifacts of runs: their versions, their content and how it is stored."""
