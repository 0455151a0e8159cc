"""Writes the golden counts anew: python tests/golden/regenerate.py, where discotrace is installed.

They are what ``discotrace replay traces/pmake.parquet`` counts in all, by system and event. A change of them is a
change of the model or of the trace: say in the change log which, and why.
"""

import json
from pathlib import Path

from discotrace.analysis.configuration import load
from discotrace.analysis.counts_file import CountsFile, join_systems
from discotrace.analysis.outcome import outcome
from discotrace.analysis.run import SYSTEMS, replay_systems
from discotrace.analysis.site import Site
from discotrace.tracegen.reader import TraceReader

TRACE = Path(__file__).parents[2] / "traces" / "pmake.parquet"
GOLDEN = Path(__file__).with_name("pmake.json")
WINDOW = 1_000_000  # instructions


def counted() -> dict[str, object]:
    """The trace's digest, and totals by system and event, on the flash preset."""
    configuration = load("flash")
    with TraceReader(TRACE) as reader:
        finished = replay_systems(reader, configuration.machine, list(SYSTEMS), WINDOW, lambda rows: None)
        identity = reader.identity()
    counts = CountsFile(join_systems(finished.counts), {})
    totals = {
        name: outcome(name, counts.of_system(name), Site(finished.machine), configuration.prices).totals
        for name in SYSTEMS
    }
    return {"trace": identity, "totals": totals}


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(counted(), indent=1) + "\n")
