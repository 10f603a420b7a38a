"""An upgrade from an earlier version: its database, and what it answered, are kept as test data.

The test loads the dump, migrates it, asks the same questions and compares the answers byte for byte.
`data/README.md` says what is in the database and how it was made.
"""
