"""Whether a person's terminal controls this process."""

import os


def is_there() -> bool:
    """False also for one that was closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
