"""The notebook runs from its first cell to its last, and shows what it showed."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


@pytest.mark.filterwarnings("default")  # of Jupyter's own
@pytest.mark.full
def test_the_notebook():
    nbformat = pytest.importorskip("nbformat", reason="the extra 'docs' is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra 'docs' is not installed")
    shipped = nbformat.read(NOTEBOOK, as_version=4)
    fresh = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(fresh, timeout=120, resources=resources).execute()
    assert [shown(cell) for cell in fresh.cells] == [shown(cell) for cell in shipped.cells]


def shown(cell):
    """Return which kinds of output a cell has; numbers may differ in their last digits."""
    return [sorted(output.get("data", output)) for output in cell.get("outputs", [])]
