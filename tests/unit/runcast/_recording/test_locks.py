"""Locks on files, and forks in the middle of taking one."""

import subprocess
import sys
from pathlib import Path

FORKS_BESIDE_A_FEED = """
import os, sys, threading
from pathlib import Path
from runcast._support import fork_safety
from runcast._recording.run_directory import RunDirectory
from runcast._upload.feed import Feed

sys.setswitchinterval(0.0001)
fork_safety.LONGEST_WAIT_SECONDS = 60.0  # a busy machine lets a thread wait for longer than a tenth
path = Path(sys.argv[1])
feeds = [Feed(RunDirectory(path / str(n))) for n in range(2)]
for feed in feeds:
    feed.directory.path.mkdir()
has_ended = threading.Event()

def takes_and_gives(feed):
    while not has_ended.is_set():
        feed._take_lock()
        feed.let_go()

def inherited():
    fds = Path('/proc/self/fd')
    held = [os.readlink(fds / fd) for fd in os.listdir(fds) if os.path.exists(fds / fd)]
    return [each for each in held if each.startswith(sys.argv[1])]

threads = [threading.Thread(target=takes_and_gives, args=(feed,)) for feed in feeds]
for each in threads:
    each.start()
held = 0
for _ in range(200):
    child = os.fork()
    if not child:
        for feed in feeds:
            feed.forget_lock()
        os._exit(bool(inherited()))
    held += os.waitpid(child, 0)[1] != 0
has_ended.set()
for each in threads:
    each.join()
print(held)
"""


def test_a_forked_child_holds_no_lock_that_it_does_not_know(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS_BESIDE_A_FEED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.stdout, ran.stderr) == ("0\n", "")
