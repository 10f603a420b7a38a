"""The inbox of people who run many agents: a thousand open questions, and how soon an answer is heard.

    python -m bench.questions [--open 1000]

- list: `GET /questions` with all of them on one page, and with the first fifty, beside what a request without
  work takes.
- answer: from the moment before an answer is sent to the return of `GET /questions/{id}?wait_s=50`.

The marks: a thousand in 50 ms, an answer within 200 ms.
"""

import argparse
import statistics
import threading
import time
from collections.abc import Iterable

import httpx
from bench.server import Server, machine, server

REPEATS = 30
ANSWERS = 20
EACH = 50
"""Questions of one run; it takes a hundred."""
COMMAND = "pytest -q tests/unit tests/integration --maxfail=3 && git push origin HEAD"
"""What the questions ask a permission for; it isn't executed."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--open", type=int, default=1000)
    options = parser.parse_args()
    print(machine())
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one, one.http() as http:
        http.timeout = httpx.Timeout(120)
        asked = ask(http, options.open)
        _print("a request without work", timed(http, "/auth/me"))
        _print(
            f"{options.open} open ones on one page", timed(http, "/questions?state=open&limit=1000")
        )
        _print("the first fifty of them", timed(http, "/questions?state=open"))
        _print("an answer until it is heard", [heard(one, http, id) for id in asked[:ANSWERS]])


def ask(http: httpx.Client, count: int) -> list[str]:
    """Permissions of many runs, as hooks ask them; their ids."""
    asked: list[str] = []
    for number in range(count):
        if number % EACH == 0:
            given = {"steps": [], "status": "running", "name": f"Session {number // EACH}"}
            run = http.post("/projects/default/runs", json=given).raise_for_status().json()["id"]
        question = {
            "kind": "permission",
            "title": "Bash",
            "body": COMMAND,
            "tool": {"name": "Bash", "input": {"command": COMMAND, "description": f"{number}"}},
            "options": [
                {"id": "allow", "label": "Allow once", "role": "allow"},
                {"id": "deny", "label": "Deny", "role": "deny", "text": True},
            ],
        }
        answer = http.post(f"/runs/{run}/questions", json=question).raise_for_status()
        asked.append(answer.json()["id"])
    return asked


def timed(http: httpx.Client, path: str) -> list[float]:
    took: list[float] = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        http.get(path).raise_for_status()
        took.append((time.perf_counter() - begun) * 1000)
    return took


def heard(one: Server, http: httpx.Client, question: str) -> float:
    """Milliseconds from an answer to the return of who waits for it."""
    back: list[float] = []

    def wait() -> None:
        with one.http() as waiting:
            waiting.get(f"/questions/{question}?wait_s=50", timeout=60).raise_for_status()
            back.append(time.perf_counter())

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.3)
    begun = time.perf_counter()
    http.post(f"/questions/{question}/answer", json={"option": "allow"}).raise_for_status()
    waiter.join()
    return (back[0] - begun) * 1000


def _print(said: str, took: Iterable[float]) -> None:
    ordered = sorted(took)
    median, high = statistics.median(ordered), ordered[int(len(ordered) * 0.95)]
    print(f"{said:32} {median:7.1f} ms at the median, {high:7.1f} ms at the 95th percentile")


if __name__ == "__main__":
    main()
