"""Makes the sample traces again and writes down what they are, where discotrace is installed.

    python traces/regenerate.py                 all that are generated; of the captured ones only digest and size
    python traces/regenerate.py radix.parquet   these
    python traces/regenerate.py --add "discotrace generate radix --output radix.parquet --scale 0.01"

MANIFEST.json says of each trace which command makes it, and with which versions it was made. A trace is the same to the
last byte when it is made again with these.
"""

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from discotrace.tracegen.reader import TraceReader
from discotrace.version import VERSION

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "MANIFEST.json"
GENERATED = "discotrace generate "


def entries() -> list[dict[str, Any]]:
    """What the manifest says, one entry for each trace."""
    tree: dict[str, list[dict[str, Any]]] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return tree["traces"]


def versions() -> dict[str, str]:
    """What the bytes of a generated trace depend on besides its command."""
    return {"discotrace": VERSION, "numpy": version("numpy"), "pyarrow": version("pyarrow")}


def measured(path: Path) -> dict[str, Any]:
    """Digest and size of a trace."""
    with TraceReader(path) as reader:
        rows = reader.rows
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "rows": rows}


def make(command: str, folder: Path) -> None:
    """Run a ``discotrace generate`` command in a folder. Raises CalledProcessError."""
    words = shlex.split(command)
    subprocess.run([sys.executable, "-m", *words, "--force", "--quiet"], cwd=folder, check=True)


def entry(command: str, file: str) -> dict[str, Any]:
    """The entry of a trace that is in the folder now."""
    about: dict[str, Any] = {"file": file, "command": command, **measured(FOLDER / file)}
    return about | ({"versions": versions()} if command.startswith(GENERATED) else {})


def output_of(command: str) -> str:
    """The file that a command writes. Ends the program for a command that is not of the kind."""
    words = shlex.split(command)
    named = [after for word, after in pairwise(words) if word in ("-o", "--output")]
    if not command.startswith(GENERATED) or len(named) != 1 or Path(named[0]).name != named[0]:
        sys.exit(f"expected {GENERATED}NAME --output FILE.parquet, with a file name without directories: {command}")
    return named[0]


def main() -> None:
    """Make the traces that were asked for and write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="traces of the manifest, all by default")
    parser.add_argument("--add", metavar="COMMAND", help="make one more trace by this command")
    asked = parser.parse_args()
    known = {one["file"]: one for one in entries()}
    if unknown := set(asked.names) - set(known):
        sys.exit(f"not in the manifest: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    commands = {file: one["command"] for file, one in known.items() if file in asked.names or not asked.names}
    if asked.add:
        commands = {output_of(asked.add): asked.add}
    for file, command in commands.items():
        if command.startswith(GENERATED):
            make(command, FOLDER)
        known[file] = entry(command, file)
        print(f"{file}: {known[file]['rows']:,} rows, {known[file]['bytes']:,} bytes")
    MANIFEST.write_text(
        json.dumps({"traces": [known[file] for file in sorted(known)]}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
