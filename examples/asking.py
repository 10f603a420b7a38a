"""An agent that asks before it does what can't be undone.

    python examples/asking.py --project demo

Answer in the console's inbox, or with `runcast inbox` and `runcast answer`. Without a server no one can be
asked: then the careful way is taken.
"""

import argparse

from runcast import RunTracker

STALE = ["orders_2019", "orders_2020"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Cleans up old tables, if a person agrees.")
    parser.add_argument("--project", default="default")
    parser.add_argument("--run", default=None, help="the run's key")
    parser.add_argument("--timeout", type=float, default=None, help="seconds to wait for an answer")
    given = parser.parse_args()
    with RunTracker(given.run, project=given.project, steps=["look", "ask", "clean"]) as run:
        run.emit("look", f"{len(STALE)} tables were not read for a year")
        run.step("ask")
        answer = run.ask(
            "Drop the old tables?",
            ["drop", "keep"],
            body="\n".join(STALE),
            timeout=given.timeout,
            on_expiry="default",
            default="keep",
        )
        run.step("clean")
        if answer.value == "drop":
            for table in STALE:
                run.log(f"dropped {table}")
        else:
            run.log(f"kept everything ({answer.state})")
        run.artifact("decision", {"state": answer.state, "answer": answer.value, "by": answer.by})


if __name__ == "__main__":
    main()
