"""Programs that behave as agents do, as far as others can see it: their files, their hooks, their waits."""
