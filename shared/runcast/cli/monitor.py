"""Leads a command's session on a terminal of its own, and tells how the command fares.

A program of its own, started by `cli.pty_job` as `python -IS monitor.py CONTROL COMMAND…` with the
terminal as its stdin. It exists for job control: a command whose parent is in another session can't
be stopped by Ctrl-Z (POSIX: its process group is orphaned), so someone of the same session has to
be its parent and see it stop. (sudo does the same with `use_pty`.)

It says on the socket CONTROL, a line each: `P<pid>` started, `F<errno>` it can't be started,
`S<signal>` stopped, `E<wait status>` ended. It is told `f` or `b`: go on, in the foreground or in the
background of the terminal.
"""

import fcntl
import os
import select
import signal
import socket
import sys
import termios

TERMINAL = 0


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    fcntl.ioctl(TERMINAL, termios.TIOCSCTTY, 0)
    pid = start(sys.argv[2:], control)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    while True:
        readable, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in readable:
            os.read(woken, 512)
            look(pid, control)
        if control.fileno() in readable:
            obey(pid, control.recv(1))


def start(command: list[str], control: socket.socket) -> int:
    """The command's pid; it leads a process group in the terminal's foreground."""
    failed, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        become(command, told)
    os.close(told)
    reason = os.read(failed, 16)
    if reason:
        control.sendall(b"F%s\n" % reason)
        sys.exit(127)
    control.sendall(b"P%d\n" % pid)
    return pid


def become(command: list[str], told: int) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(TERMINAL, os.getpid())
    for number in (signal.SIGTTOU, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(told, b"%d" % (error.errno or 0))
    os._exit(127)


def look(pid: int, control: socket.socket) -> None:
    found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
    if not found:
        return
    if os.WIFSTOPPED(status):
        control.sendall(b"S%d\n" % os.WSTOPSIG(status))
        return
    # Our group in the foreground, so that our end hangs up no one that the command left behind.
    os.tcsetpgrp(TERMINAL, os.getpgrp())
    control.sendall(b"E%d\n" % status)
    sys.exit(0)


def obey(pid: int, order: bytes) -> None:
    try:
        if not order:
            os.killpg(pid, signal.SIGHUP)
            sys.exit(0)
        if order == b"f":
            os.tcsetpgrp(TERMINAL, pid)
        os.killpg(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    main()
