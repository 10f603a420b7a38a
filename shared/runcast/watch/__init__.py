"""Following the sessions that agents write on this machine, and making each a run.

A session's file is read as it grows (`line_file`), its records become entries, states and usage
(`runcast.agents`), and these are appended to a run's `spool.jsonl` (`run_output`), each line with the place
that it came from. So the spool itself says how far a session was translated, and a watcher that is killed
goes on where it was. From there a feeder, the tailer or `runcast sync` takes it to a server.
"""
