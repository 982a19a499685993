"""The page of a report: everything escaped, everything in it."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

from cnntool.views.html_report import Bar, Card, Page, PagePicture, Sees, html

NASTY = '</style><script>alert("x")</script>&\'{{ 7 * 7 }}'
PNG = PagePicture(b"\x89PNG and so on", 20, 30)


def card(**changes):
    usual = Card(
        name="block1_conv1",
        tensor="a/Relu:0",
        words="conv 1, after ReLU",
        kind="conv",
        shape="4 x 8 x 8",
        facts=(("mean", "0.25"),),
        sparsity=0.5,
        sees=Sees(0.25, -0.5, 0.125, 0.5),
        picture=PNG,
    )
    return usual._replace(**changes)


def page(**changes):
    usual = Page(
        title="cat.png",
        network="a network",
        facts=(("runs on", "cpu"),),
        photo=PNG,
        classes=(Bar("cat", 0.9), Bar("dog", 0.1)),
        cards=(card(), card(name="fc1", kind="dense", sees=None, sparsity=None)),
        maker="Made by a test.",
    )
    return usual._replace(**changes)


class Seen(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.text, self.styles = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [found[name] for name in ("src", "href") if name in found]
        self.styles += [found["style"]] if "style" in found else []

    def handle_data(self, data):
        self.text += [data.strip()] if data.strip() else []


def test_it_says_everything():
    text = html(page()).decode()
    seen = Seen(text)
    for words in ("cat.png", "runs on", "cpu", "cat", "90.0 %", "fc1", "4 x 8 x 8", "0.25",
                  "50.0 %", "Made by a test."):  # fmt: skip
        assert words in seen.text, words
    assert "top: 25.000%; left: -50.000%; height: 12.500%; width: 50.000%" in seen.styles
    assert seen.tags.count("section") == 2
    assert [a for a in seen.addresses if a.startswith("#")] == ["#layer-1", "#layer-2"]
    data = [a for a in seen.addresses if not a.startswith("#")]
    assert {base64.b64decode(a.removeprefix("data:image/png;base64,")) for a in data} == {PNG.png}
    assert len(data) == 3


def test_names_are_escaped_wherever_they_stand():
    nasty = card(name=NASTY, tensor=NASTY, words=NASTY, kind="other", shape=NASTY,
                 facts=((NASTY, NASTY),))  # fmt: skip
    text = html(
        page(title=NASTY, network=NASTY, facts=((NASTY, NASTY),), classes=(Bar(NASTY, 1.0),),
             cards=(nasty,), maker=NASTY)
    ).decode()  # fmt: skip
    seen = Seen(text)
    assert "script" not in seen.tags
    assert seen.text.count(NASTY) >= 8
    assert text.count("</style>") == 1
    assert "49" not in "".join(seen.text)


def test_it_needs_nothing_else():
    text = html(page()).decode()
    assert "default-src 'none'" in text
    without = re.sub(r"base64,[\w+/=]+", "", text)
    assert not re.search(r"https?:|url\((?!\"data:)|@import|<link|<script", without)


def test_what_is_not_there_leaves_no_trace():
    text = html(page(classes=(), cards=(card(sees=None, sparsity=None, words=""),))).decode()
    seen = Seen(text)
    assert "What it takes this for" not in text
    assert "a/Relu:0" in seen.text
    assert 'class="sees"' not in text
    assert 'class="zeros"' not in text


def test_text_that_is_no_unicode():
    assert b"caf?.png" in html(page(title="caf\udce9.png"))
