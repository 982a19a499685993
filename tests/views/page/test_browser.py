"""The page in a browser: clicks, keys, addresses, and what it looks like without a script."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnntool.views.page.render import html

SHARED = Path(__file__).parents[4] / "shared"
NETWORKS = (
    "squeezenet1.0-fp16", "mobilenetv2-nhwc-u8", "mobilenetv2-nhwc-u8-qdq", "deeplabv3-nhwc-u8",
    "candy-style", "mnist-cntk",
)  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def until(page, expression):
    """Wait until something is true; the page's policy lets no browser ask again by itself."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"never true: {expression}")


def first_paint(page):
    """Return when there was something to see, in milliseconds."""
    entry = "performance.getEntriesByName('first-contentful-paint')[0]"
    until(page, f"{entry} !== undefined")
    return page.evaluate(f"{entry}.startTime")


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


@pytest.fixture(scope="module")
def expect():
    """Return what waits until something of a page is as expected."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    sync.expect.set_options(timeout=30_000)  # as all other waiting
    return sync.expect


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


def test_from_the_column_to_the_sum_of_products(made, opened, expect):
    path = made("-l", "block1_conv1", "-l", "block1_pool", "--units", "block1_conv1")
    with opened(path) as page:
        page.click("nav >> text=block1_conv1")
        expect(page.locator("section.current .grid button")).to_have_count(16)
        page.click(".grid button >> nth=3")
        page.click("canvas.pick", position={"x": 100, "y": 50})
        page.wait_for_selector("text=what it was computed from")
        page.wait_for_url("**#block1_conv1/3/*")
        rows = dict(page.locator(".total tr").evaluate_all(
            "rows => rows.map(row => [row.cells[0].innerText, Number(row.cells[1].innerText)])"
        ))  # fmt: skip
        assert rows["result"] == pytest.approx(rows["sum of 27 products"] + rows["bias"], abs=1e-6)
        assert rows["in the network"] == pytest.approx(rows["result"], abs=1e-6)
        assert rows["after ReLU"] == pytest.approx(max(0, rows["result"]), abs=1e-6)


@pytest.mark.full
def test_keys_search_and_addresses(made, opened, expect):
    path = made("-l", "block1_*", "-l", "block2_*", "-l", "predictions")
    with opened(path) as page:
        current = page.locator("section.current h2")
        page.keyboard.press("ArrowDown")
        expect(current).to_contain_text("block1_conv1")
        page.keyboard.press("ArrowDown")
        expect(current).to_contain_text("block1_conv2")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**#block1_conv2/1")
        page.keyboard.press("ArrowLeft")
        page.wait_for_url("**#block1_conv2/0")
        page.wait_for_selector("canvas.pick")
        page.focus("canvas.pick")
        page.keyboard.press("ArrowDown")
        page.wait_for_url("**#block1_conv2/0/72,72")
        page.wait_for_timeout(300)
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**#block1_conv2/0/72,73")
        page.wait_for_selector("text=row 72, column 73")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.wait_for_url("**#block1_conv2")
        page.keyboard.press("/")
        page.keyboard.type("conv:3")  # a name that is not the one shown
        expect(page.locator("nav li.found")).to_have_text(["block2_conv1"])
        page.keyboard.press("Enter")
        page.wait_for_url("**#block2_conv1")
        page.keyboard.press("?")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.wait_for_selector(".overview")
    with opened(path, "#block2_pool/17") as page:
        page.wait_for_selector("h3:has-text('map 17')")
    with opened(path, "#conv:4") as page:  # any name of the vocabulary
        expect(page.locator("section.current h2")).to_contain_text("block2_conv2")
    with opened(path, "#predictions/13") as page:
        page.wait_for_selector("text=unit 13: cat")
    with opened(path, "#nothing/like%20this%") as page:
        page.wait_for_selector(".overview")


@pytest.mark.full
def test_sorting_and_choosing_maps(made, opened, expect):
    path = made("-l", "block1_conv2", "-l", "block5_conv3")
    with opened(path, "#block5_conv3") as page:
        buttons = page.locator(".grid button")
        expect(buttons).to_have_count(320)
        page.get_by_label("show").select_option("dead")
        expect(page.get_by_role("status")).to_have_text("9 of 320 maps")
        page.get_by_label("show").select_option("alive")
        page.get_by_label("sort by").select_option("max")
        expect(buttons).to_have_count(311)
        expect(buttons.first).to_contain_text(": 3.99")
        shown = [float(text.partition(": ")[2]) for text in buttons.all_inner_texts()]
        assert shown == sorted(shown, reverse=True)


@pytest.mark.full
def test_the_maps_are_those_of_the_network(made, opened, samples):
    import cnntool

    path = made("-l", "block3_conv1")
    with cnntool.load_model() as net:
        maps = net.activations(samples / "cat.png", "block3_conv1")["block3_conv1"]
    with opened(path, "#block3_conv1/5") as page:
        page.wait_for_selector("canvas.pick")
        page.get_by_label("scale").select_option("map")
        for row, column in ((0, 0), (17, 20), (35, 35)):
            page.goto(f"{path.as_uri()}#block3_conv1/5/{row},{column}")
            heading = page.wait_for_selector(f"h4:has-text('row {row}, column {column}')")
            value = float(heading.inner_text().partition(": ")[2])
            assert value == pytest.approx(maps[5, row, column], abs=float(maps[5].max()) / 250)


@pytest.mark.full
def test_several_photos_and_what_else_there_is(made, opened, expect, samples):
    photos = "cat.png", "camera.png"
    path = made("-l", "block1_*", "-l", "block5_conv3", "--units", "block1_conv1", "--patches",
                samples, "--explain", "gradcam", photos=photos)  # fmt: skip
    with opened(path) as page:
        expect(page.locator(".heats figure")).to_have_count(6)
        page.goto(f"{path.as_uri()}#block1_conv1/3/10,20")
        expect(page.locator("text=what it was computed from")).to_have_count(2)
        expect(page.locator("canvas.pick")).to_have_count(2)
        expect(page.locator(".patches figure")).to_have_count(3)
        differs = page.locator("text=/differs by|No difference/")
        expect(differs).to_have_count(2)
        assert not [text for text in differs.all_inner_texts() if "more than rounding" in text]


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.full
def test_it_fits_every_screen(made, opened, width, scheme):
    path = made("-l", "block1_conv1", "-l", "predictions", "--units", "block1_conv1")
    settings = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with opened(path, **settings) as page:
        for address in ("", "#block1_conv1", "#block1_conv1/3/40,50", "#predictions"):
            page.goto(path.as_uri() + address)
            page.wait_for_timeout(300)
            assert page.evaluate(FITS), address
        assert first_paint(page) < 2000


@pytest.mark.full
def test_without_a_script_everything_is_there(made, opened, expect):
    path = made("-l", "block1_*", "-l", "predictions")
    with opened(path, java_script_enabled=False) as page:
        expect(page.locator("section img.maps:visible")).to_have_count(4)
        expect(page.locator("nav a")).to_have_count(4)
        expect(page.locator("text=What it takes this for")).to_be_visible()
        page.click("nav >> text=predictions")
        page.wait_for_url("**#predictions")
    with opened(path, "#block1_conv2/3") as page:  # on paper there is no script either
        page.wait_for_selector("canvas.pick")
        page.emulate_media(media="print")
        expect(page.locator("section img.maps:visible")).to_have_count(4)
        expect(page.locator("canvas:visible, nav:visible")).to_have_count(0)


TILES = """() => Object.fromEntries([...document.querySelectorAll("section")].map(section => {
    const views = JSON.parse(section.querySelector("script").textContent).views;
    const image = section.querySelector("img.maps"), box = image.getBoundingClientRect();
    const side = views[0].tile[0] * views[0].factor * box.width / image.naturalWidth;
    return [section.id, side];
}))"""


@pytest.mark.full
@pytest.mark.parametrize("width", [360, 800, 1280])
def test_without_a_script_pooled_maps_are_no_larger_than_what_they_pool(made, opened, width):
    path = made("-l", "block1_conv2", "-l", "block2_pool", "-l", "block3_pool", "--maps", "0-3")
    path.write_text(
        path.read_text("utf-8").replace("<script>", '<script type="text/plain">', 1), "utf-8"
    )
    with opened(path, viewport={"width": width, "height": 800}) as page:
        sides = page.evaluate(TILES)
    assert sides["block3_pool"] <= sides["block2_pool"] + 0.1 <= sides["block1_conv2"] + 0.2


@pytest.mark.full
def test_names_stay_text(opened, expect, tmp_path):
    nasty = '</script><script>document.title="bad"</script><img src=x onerror=alert(1)>'
    from test_render import VIEW, card, page

    path = tmp_path / "nasty.html"
    one = card(name=nasty, tensor=nasty, views=(VIEW,), data={"names": [nasty], "views": []})
    data = {"palettes": {}, "unit_layers": []}
    path.write_bytes(html(page(title=nasty, cards=(one, one), data=data)))
    with opened(path) as shown:
        shown.click("nav li:nth-child(2) a")
        expect(shown.locator("section.current h2")).to_contain_text(nasty)
        expect(shown).to_have_title(f"{nasty} in a network")


@pytest.mark.full
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_can_be_walked_through(made, opened, network):
    file = SHARED / "models" / f"{network}.onnx"
    if not file.exists():
        pytest.skip("../shared/models is not there")
    path = made("-m", file)
    assert path.stat().st_size < 15_000_000
    with opened(path) as page:
        assert first_paint(page) < 2000
        links = page.locator("nav li a")
        for number in range(links.count()):
            links.nth(number).click()
            page.wait_for_selector("section.current .panel")
            tiles = page.locator("section.current .grid button")
            if tiles.count():
                tiles.first.click()
                page.wait_for_selector("section.current canvas.pick")
                page.click("canvas.pick", position={"x": 30, "y": 30})
                page.wait_for_selector("h4:has-text('row ')")
