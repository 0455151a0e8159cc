"""Pictures that verbs draw: what is found out before the work, and how they come into a file."""

from importlib import import_module
from pathlib import Path

from discotrace.tracegen.errors import OutputError

_SUFFIXES = (".svg", ".png")


def check_picture(picture: str, force: bool, drawn_by: str) -> None:
    """Refuse before the work what could not be written after it. ``drawn_by``: the module that draws.

    Raises OutputError.
    """
    target = Path(picture)
    if target.suffix not in _SUFFIXES:
        raise OutputError(
            f"--picture is {picture!r}, expected the name of a file that ends in {' or '.join(_SUFFIXES)}"
        )
    if target.exists() and not force:
        raise OutputError(f"{picture} is there already; replace it with --force or choose another name")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {picture}: there is no directory {target.parent}, make it first")
    try:
        import_module(drawn_by)
    except ImportError as missing:
        raise OutputError(
            f"pictures need the package {missing.name}: install it with pip install 'discotrace[report]'"
        ) from missing


def write_picture(picture: str, content: bytes) -> None:
    """Write the file, whole or not at all. Raises OutputError."""
    from discotrace.tracegen.atomic import atomic_path, output_errors

    with atomic_path(picture) as path, output_errors(picture):
        path.write_bytes(content)
