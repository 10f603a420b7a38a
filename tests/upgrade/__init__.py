"""An upgrade from an earlier version: its database, and what it answered, kept as test data.

`python -m tests.upgrade NAME` makes both with the code of this checkout: a world is made through the public
entrances, every log, history page and stream of it is read, and the database is dumped. The test restores the
dump, migrates it, asks the same questions and compares the answers byte for byte.
"""
