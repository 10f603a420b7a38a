"""The least that takes a line in: one FastAPI endpoint, one insert with its commit, one publish."""
