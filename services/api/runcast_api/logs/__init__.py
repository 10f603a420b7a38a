"""The log of a run: taking lines in, reading them, searching, exporting, tails."""
