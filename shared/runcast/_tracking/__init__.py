"""What stands behind a tracker: the run's session, spans, the current run, captured output, commands."""
