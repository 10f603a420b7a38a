"""Opens files of directories that others write to, without being led anywhere else.

A path that was looked at may be another one when it is opened: anyone who may write to a directory can put a
symbolic link into the way in between. So nothing is looked at beforehand. The root is opened, then each
directory on the way from the descriptor of the one above it, none of them through a link, and at the end a
regular file (openat(2) with O_NOFOLLOW; Linux's RESOLVE_NO_SYMLINKS does the same in one call).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_ON_THE_WAY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotRegular(OSError):
    """Something else than a regular file: a device, a pipe, a directory, or a symbolic link on the way."""


def open_file(root: Path, path: Path) -> int:
    """A descriptor of the regular file at `path`, which lies beneath `root`.

    Links in `root` itself are followed: it is ours to name. Raises `NotRegular` for a link below it and for
    what isn't a regular file, and `OSError` as opening does. The caller closes the descriptor.
    """
    names = names_beneath(root, path)
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            below = _step(name, _ON_THE_WAY, directory, path)
            os.close(directory)
            directory = below
        descriptor = _step(names[-1], _FILE, directory, path)
    finally:
        os.close(directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def names_beneath(root: Path, path: Path) -> tuple[str, ...]:
    """The names that lead from `root` to `path`. Raises `NotRegular` where they don't, or lead up."""
    try:
        names = path.relative_to(root).parts
    except ValueError:
        names = ()
    if not names or ".." in names:
        raise NotRegular(errno.EINVAL, "does not lie beneath its directory", str(path))
    return names


def _step(name: str, flags: int, directory: int, path: Path) -> int:
    try:
        return os.open(name, flags, dir_fd=directory)
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        if is_link or (error.errno == errno.ENOTDIR and flags & os.O_DIRECTORY):
            raise NotRegular(error.errno, "a symbolic link, or no directory", str(path)) from error
        raise


@dataclass(frozen=True, slots=True)
class Place:
    """A path, and the directory beneath which it must be opened: `open_file(place.root, place.path)`."""

    root: Path
    path: Path

    def open(self) -> int:
        """A descriptor of the file. Raises as `open_file` does."""
        return open_file(self.root, self.path)


def run_directory(runs_dir: Path, name: str, roots: Sequence[Path]) -> Place | None:
    """Where the run directory of this name lies; None where it leads to nowhere that may be read.

    It may itself be a link, which an administrator put there, to a directory beneath one of the `roots`
    outside of `runs_dir`. A link into another run's directory would be a second name for what is its own.
    """
    path = runs_dir / name
    try:
        if not path.is_symlink():
            return Place(runs_dir, path)
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    is_allowed = any(target.is_relative_to(root.resolve()) for root in roots)
    if not is_allowed or target.is_relative_to(runs_dir.resolve()) or not target.is_dir():
        return None
    return Place(target, target)


def followed_file(path: Path, runs_dir: Path, roots: Sequence[Path]) -> Place | None:
    """How a file that is followed on request is reached; None where it lies outside of all roots."""
    try:
        name, *rest = names_beneath(runs_dir, path)
    except NotRegular:
        root = next((root for root in _both(roots) if path.is_relative_to(root)), None)
        return None if root is None else Place(root, path)
    if not rest:
        return Place(runs_dir, path)
    home = run_directory(runs_dir, name, roots)
    return None if home is None else Place(home.root, home.path.joinpath(*rest))


def _both(roots: Sequence[Path]) -> Iterator[Path]:
    """Each root as it is named, and where it really lies."""
    for root in roots:
        yield root
        yield root.resolve()
