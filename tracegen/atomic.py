"""Output files that are there whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from discotrace.tracegen.errors import OutputError


@contextmanager
def output_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an OSError of the block into an OutputError that names ``path``."""
    try:
        yield
    except OSError as fault:
        # Arrow puts the whole story into one long string; the text that belongs to errno is the readable part.
        reason = os.strerror(fault.errno) if fault.errno else str(fault)
        raise OutputError(f"cannot write {os.fspath(path)}: {reason}") from fault


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives the path of an empty temporary file beside ``path``, which becomes ``path`` when the block succeeds.

    The file reaches the disk before it takes the name, so that even a crash leaves the old file or the new one.
    When the block raises, Ctrl-C included, the temporary file is removed and ``path`` is as it was. A symbolic link
    is followed. Raises OutputError when the directory is missing or cannot be written, or when ``path`` is
    something other than a regular file.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {os.fspath(path)}: there is no directory {target.parent}, make it first")
    if target.exists() and not target.is_file():
        raise OutputError(f"cannot write {os.fspath(path)}: it is not a regular file, choose another name")
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with output_errors(path):
            # 0o666 lets the user's umask decide, as for any other new file.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        with output_errors(path):
            _flush_to_disk(temporary)
            os.replace(temporary, target)
            _flush_to_disk(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
