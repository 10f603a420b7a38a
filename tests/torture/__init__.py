"""Everything is killed, stopped, emptied and cut at random for a while, and every reader's history is
checked: `make torture`, or `python -m tests.torture --minutes 10 --seed 7`.

Real processes on loopback: two APIs, two hubs, a tailer, Postgres, Valkey with a replica (`cluster`).
Writers report through HTTP, the ingest stream and files (`writers`), readers of every kind listen and
return with `Last-Event-ID` (`readers`), and a seeded nemesis injects faults, alone and several at once
(`faults`, `nemesis`). When all is healed and quiet, the checker compares what each reader saw with what
Postgres holds, and what Postgres holds with what each writer was promised (`history`, `truth`,
`checker`). Whether the checker notices anything is proved by sabotage of the product (`sabotage`).
"""
