"""Which files were in memory before a captured command ran: those whose content it uses and that it did not make."""

from collections.abc import Iterator

from discotrace.tracegen.areas import Area
from discotrace.tracegen.steps import Action, Exec, History, Remap, Transfer


def warm_files(histories: list[History]) -> frozenset[str]:
    """Paths of the files that processes run, map or read, without those that any of them wrote."""
    used = {path for history in histories for step in history.steps for path in _contents(step.action)}
    return frozenset(used.difference({""}, *(history.written for history in histories)))


def _contents(action: Action) -> Iterator[str]:
    """Paths of the files whose content an action needs; "" for what is no file."""
    match action:
        case Exec(path, areas):
            yield path
            yield from _mapped(areas)
        case Remap():
            yield from _mapped(action.added)
        case Transfer(file, writes=False):
            yield file.path


def _mapped(areas: tuple[Area, ...]) -> Iterator[str]:
    return (area.source for area in areas if area.backing == "file")
