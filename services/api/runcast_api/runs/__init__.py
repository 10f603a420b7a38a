"""Runs: their state, lists, progress, liveness and history."""
