"""The notebooks in ``examples/`` run, and give again the figures that are in them."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def texts(notebook: Any) -> list[list[str]]:
    """What each cell of code shows, as text."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[one.get("text") or one["data"]["text/plain"] for one in cell.outputs] for cell in cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_again_what_is_in_it(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(fresh, timeout=300, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    assert texts(fresh) == texts(stored)
    assert any(texts(fresh))
