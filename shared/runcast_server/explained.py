"""Errors that a person who starts a server can do something about."""


class ExplainedError(Exception):
    """Its message is all that the person needs: shown alone, without a traceback, with exit code 1."""
