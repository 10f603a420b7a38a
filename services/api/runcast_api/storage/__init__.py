"""How much a project's log takes, how long it is kept, and when it may grow no further."""
