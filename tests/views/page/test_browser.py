"""The page in a browser: clicks, keys, addresses, and what it looks like without a script."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[4] / "shared"
NETWORKS = (
    "squeezenet1.0-fp16", "mobilenetv2-nhwc-u8", "mobilenetv2-nhwc-u8-qdq", "deeplabv3-nhwc-u8",
    "candy-style", "mnist-cntk",
)  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ALL = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def chromium():
    """Start a browser, or skip where there is none."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync.sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("there is no Chromium")
        with playwright.chromium.launch(executable_path=found, args=["--no-sandbox"]) as browser:
            yield browser


@pytest.fixture
def opened(chromium):
    """Open a page, which must not complain."""

    @contextmanager
    def browse(path, address="", **settings):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        said = []
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri() + address)
        yield page
        context.close()
        assert said == []

    return browse


@pytest.fixture
def made(here, samples, tmp_path):
    """Write a page about the sample."""

    def write(*arguments, photos=("cat.png",)):
        path = tmp_path / "page.html"
        pictures = [samples / photo for photo in photos]
        here("activations", "-q", "--overwrite", "--report", path, *arguments, *pictures)
        return path

    return write


def test_from_the_column_to_the_sum_of_products(made, opened):
    path = made("-l", "block1_conv1", "-l", "block1_pool", "--units", "block1_conv1")
    with opened(path) as page:
        page.click("nav >> text=block1_conv1")
        page.wait_for_selector("section.current .grid button")
        assert page.locator(".grid button").count() == 16
        page.click(".grid button >> nth=3")
        page.click("canvas.pick", position={"x": 100, "y": 50})
        page.wait_for_selector("text=what it was computed from")
        assert page.url.rpartition("#")[2].startswith("block1_conv1/3/")
        rows = dict(page.locator(".total tr").evaluate_all(
            "rows => rows.map(row => [row.cells[0].innerText, Number(row.cells[1].innerText)])"
        ))  # fmt: skip
        assert rows["result"] == pytest.approx(rows["sum of 27 products"] + rows["bias"], abs=1e-6)
        assert rows["in the network"] == pytest.approx(rows["result"], abs=1e-6)
        assert rows["after ReLU"] == pytest.approx(max(0, rows["result"]), abs=1e-6)
