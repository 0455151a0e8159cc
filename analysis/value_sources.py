"""Where the values of a machine file come from: the comment beside each.

A value whose comment says "unverified" or "ours" is recalled or chosen, not printed in the paper or derived from it.
"""

import re
from collections.abc import Iterable, Mapping

_TABLE = re.compile(r"\[(\w+)\]")
_KEY = re.compile(r"(\w+)\s*=\s*[^#]*(?:#\s*(.*))?$")
_MORE = re.compile(r"\s+#\s*(.*)$")  # a comment that goes on below its key, indented
_DOUBTFUL = re.compile(r"\b(unverified|ours|our choice|guess)\b", re.IGNORECASE)

Sources = dict[str, str]  # by ``table.key``


def sources_of(text: str) -> Sources:
    """The comment beside each key of a machine file in TOML, by ``table.key``; keys without one are left out."""
    found: Sources = {}
    table = key = ""
    for line in text.splitlines():
        if heading := _TABLE.match(line):
            table, key = heading[1], ""
        elif entry := _KEY.match(line):
            key = f"{table}.{entry[1]}"
            if entry[2]:
                found[key] = entry[2].strip()
        elif key in found and (more := _MORE.match(line)):
            found[key] += f" {more[1].strip()}"
        else:
            key = ""
    return found


def unverified(sources: Mapping[str, str]) -> list[str]:
    """The keys whose value is recalled or chosen."""
    return [key for key, source in sources.items() if _DOUBTFUL.search(source)]


def changed(sources: Mapping[str, str], changes: Iterable[str]) -> Sources:
    """The sources after ``table.key=value`` changes, which are a source of their own."""
    own = {re.sub(r"\s", "", change.partition("=")[0]): "given with --set" for change in changes}
    return {**sources, **own}


def toml_with_sources(toml: str, sources: Mapping[str, str]) -> str:
    """The same TOML, a key to a line and without comments, with the source of each value behind it."""
    lines, table = [], ""
    for line in toml.splitlines():
        if heading := _TABLE.match(line):
            table = heading[1]
        source = sources.get(f"{table}.{line.partition(' = ')[0]}")
        lines.append(f"{line}  # {source}" if source else line)
    return "\n".join(lines) + "\n"
