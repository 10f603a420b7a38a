"""From the ingest stream to the event log: every message applied once, in order, or kept with a reason."""
