"""The programs: what each does tells apart what a wrapper may get wrong."""

from __future__ import annotations

import sys
from dataclasses import dataclass

INPUT = b"alpha\nbeta\ngamma\n"


@dataclass(frozen=True)
class Program:
    """`reads`: takes its stdin. `detaches`: leaves a process behind, which a terminal hangs up."""

    name: str
    argv: tuple[str, ...]
    reads: bool = False
    detaches: bool = False


def sh(name: str, script: str, *, reads: bool = False, detaches: bool = False) -> Program:
    return Program(name, ("sh", "-c", script), reads, detaches)


def py(name: str, script: str, *, reads: bool = False) -> Program:
    return Program(name, (sys.executable, "-IS", "-c", script), reads)


PROGRAMS = (
    Program("true", ("true",)),
    Program("false", ("false",)),
    Program("echo", ("echo", "hello", "world")),
    Program("echo without an end", ("printf", "no end")),
    Program("arguments that are odd", ("printf", "[%s]", "", "a b", "--", "-x", "é", "*", "$HOME")),
    Program("arguments that are no text", ("printf", "[%s]", "\udcff\udcfe", "\udce9t\udce9")),
    Program("not found", ("/nonexistent/program",)),
    Program("a directory", ("/etc",)),
    Program("not executable", ("/etc/passwd",)),
    sh("exit 3", "exit 3"),
    sh("exit 255", "exit 255"),
    sh("killed by TERM", "kill -TERM $$"),
    sh("killed by KILL", "kill -KILL $$"),
    sh("killed by SEGV", "ulimit -c 0; kill -SEGV $$"),
    sh("killed by INT", "kill -INT $$"),
    sh("killed by PIPE", "kill -PIPE $$"),
    sh("its own handler", "trap 'echo caught; exit 7' USR1; kill -USR1 $$; sleep 5"),
    sh("both streams in turn", "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done"),
    sh("errors first", "echo err >&2; echo out; echo err >&2"),
    sh("traced", "set -x; a=1; echo $a; b=2; echo $b"),
    sh("many lines", "seq 1 20000"),
    sh("a long line", "head -c 300000 /dev/zero | tr '\\0' x; echo"),
    sh("all bytes", "awk 'BEGIN { for (i = 0; i < 256; i++) printf \"%c\", i }'"),
    sh("zeros", "head -c 100000 /dev/zero"),
    sh("a progress bar", "for i in 1 2 3; do printf '\\r%d%%' $i; done; echo"),
    sh("colours", "printf '\\033[31mred\\033[0m\\n\\033]0;title\\007'"),
    sh("latin-1", "printf 'caf\\351\\n'"),
    sh("no output for a while", "sleep 0.3; echo late"),
    sh("a pipeline", "seq 1 100000 | sort -rn | head -3"),
    sh("a broken pipe inside", "yes | head -2"),
    sh("a subshell that outlives a line", "(sleep 0.2; echo second) & echo first; wait"),
    sh("left behind, silent", "sleep 0.2 >/dev/null 2>&1 </dev/null & echo here"),
    sh("left behind, talking", "(sleep 1.5; echo from afar) & echo here", detaches=True),
    sh("a closed output", "exec >&-; echo lost; echo $? >&2"),
    sh("its own descriptor", "exec 3>&1; echo three >&3"),
    sh("descriptors that are open", "ls /proc/self/fd | wc -l"),
    sh("what is a terminal", "for n in 0 1 2; do test -t $n && echo $n yes || echo $n no; done"),
    sh("what is closed", "for n in 0 1 2; do test -e /proc/self/fd/$n && echo $n; done >&9 9>&1"),
    sh("where", "pwd; cd /; pwd"),
    sh("limits", "ulimit -n; ulimit -s; umask"),
    sh("niceness", "nice"),
    sh("ignored signals", "grep -E 'Sig(Ign|Blk)' /proc/self/status"),
    sh("the environment", "env | grep -v -E '^(RUNCAST_|PYTHONUNBUFFERED=|_=)' | sort"),
    sh("a large environment", 'printf %s "$LARGE" | wc -c'),
    sh("a directory that is gone", "mkdir gone; cd gone; rmdir ../gone; echo $?; pwd -P"),
    sh("the terminal's size", "stty size 2>&1 </dev/tty || echo none"),
    sh("the terminal's settings", "stty -a 2>/dev/null | grep -o -E '[-]?(echo|icanon|isig|opost)\\b'"),
    sh("a terminal of its own", "if (: </dev/tty) 2>/dev/null; then echo yes; else echo no; fi"),
    sh("in the foreground", "ps -o stat= -p $$ 2>/dev/null | grep -c + ; true"),
    Program("cat", ("cat",), reads=True),
    Program("wc", ("wc", "-c"), reads=True),
    Program("sort", ("sort", "-r"), reads=True),
    Program("head", ("head", "-1"), reads=True),
    Program("sed", ("sed", "-u", "s/a/A/g"), reads=True),
    Program("tee", ("tee", "/dev/null"), reads=True),
    sh("one line of several", "read a; echo got $a; cat", reads=True),
    sh("a script without its mark", "./unmarked one two"),
    py("python's streams", "import sys; print('o'); print('e', file=sys.stderr); sys.exit(4)"),
    py("python's traceback", "print('before'); raise ValueError('no')"),
    py("python's encoding", "import sys; print(sys.stdout.encoding, sys.stdout.errors)"),
    py("non-blocking of itself", "import os; os.set_blocking(1, False); os.write(1, b'x' * 5000)"),
    Program("perl", ("perl", "-e", '$| = 1; print "one\\n"; warn "two\\n"; print "three\\n"; die "four\\n"')),
    Program("awk", ("awk", 'BEGIN { print "a" > "/dev/stderr"; print "b" }')),
    Program("make", ("make", "-s", "-f", "/dev/null", "nothing")),
    Program("bash", ("bash", "-c", "echo {1..5}; exit 9")),
    Program("dd", ("dd", "if=/dev/zero", "bs=1000", "count=50", "status=none")),
)  # fmt: skip
