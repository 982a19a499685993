"""The page of a report: everything escaped, everything in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

from cnntool.views.page.render import (
    Bar,
    Card,
    Heat,
    Histogram,
    Page,
    PagePicture,
    Photo,
    Sees,
    Table,
    View,
    html,
)  # fmt: skip

NASTY = '</style></script><!--<script>alert("x")</script>&\'{{ 7 * 7 }}'
PNG = PagePicture(b"\x89PNG and so on", 20, 30)
VIEW = View(
    facts=(("mean", "0.25"),),
    picture=PNG,
    sparsity=0.5,
    sees=Sees(0.25, -0.5, 0.125, 0.5),
    histogram=Histogram((3, 1), 0.0, 2.0),
)


def card(**changes):
    usual = Card(
        name="block1_conv1",
        tensor="a/Relu:0",
        words="conv 1, after ReLU",
        kind="conv",
        shape="4 x 8 x 8",
        views=(VIEW,),
        data={"names": ["conv:1"]},
    )
    return usual._replace(**changes)


def page(**changes):
    usual = Page(
        title="cat.png",
        network="a network",
        facts=(("runs on", "cpu"),),
        photos=(Photo("cat.png", PNG, (), (Bar("cat", 0.9), Bar("dog", 0.1))),),
        cards=(
            card(),
            card(
                name="fc1",
                kind="dense",
                views=(View((), PNG),),
                parents=(0,),
                data=None,
            ),
        ),
        maker="Made by a test.",
        data={"palettes": {}},
    )
    return usual._replace(**changes)


class Seen(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.text, self.attributes = [], [], [], []
        self.scripts, self.styles, self.numbers = [], [], []
        self.policy = self.within = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes.append((tag, found))
        self.addresses += [found[name] for name in ("src", "href") if name in found]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        self.within = f"{tag} {found.get('type', '')}".strip()

    def handle_endtag(self, tag):
        self.within = ""

    def handle_data(self, data):
        if self.within == "script application/json":
            self.numbers.append(json.loads(data))
        elif self.within in {"script", "style"}:
            (self.scripts if self.within == "script" else self.styles).append(data)
        elif data.strip():
            self.text.append(data.strip())


def hashed(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def test_it_says_everything():
    text = html(page()).decode()
    seen = Seen(text)
    for words in ("cat.png", "runs on", "cpu", "cat", "90.0 %", "fc1", "4 x 8 x 8", "0.25",
                  "50.0 %", "Made by a test."):  # fmt: skip
        assert words in seen.text, words
    (box,) = [found for tag, found in seen.attributes if tag == "rect" and "x" in found]
    assert box == {"x": "-0.50000", "y": "0.25000", "width": "0.50000", "height": "0.12500"}
    assert seen.tags.count("section") == 2
    anchors = [a for a in seen.addresses if a.startswith("#")]
    assert anchors == ["#block1_conv1", "#fc1", "#block1_conv1"]  # the column, and what fc1 takes
    ids = [found["id"] for tag, found in seen.attributes if tag == "section"]
    assert ids == ["block1_conv1", "fc1"]
    data = [a for a in seen.addresses if not a.startswith("#")]
    assert {base64.b64decode(a.removeprefix("data:image/png;base64,")) for a in data} == {PNG.body}
    assert len(data) == 3


def test_names_are_escaped_wherever_they_stand():
    nasty = card(
        name=NASTY, tensor=NASTY, words=NASTY, kind="other", shape=NASTY,
        views=(VIEW._replace(facts=((NASTY, NASTY),)),), data={"names": [NASTY]},
    )  # fmt: skip
    photo = Photo(NASTY, PNG, ((NASTY, NASTY),), (Bar(NASTY, 1.0),), (Heat(NASTY, NASTY, PNG),))
    text = html(
        page(title=NASTY, network=NASTY, facts=((NASTY, NASTY),), photos=(photo, photo),
             cards=(nasty,), maker=NASTY, data={NASTY: NASTY},
             table=Table((NASTY,), ((NASTY,),), (NASTY,)))
    ).decode()  # fmt: skip
    seen = Seen(text)
    assert seen.text.count(NASTY) >= 8
    assert text.count("</style>") == 1
    assert "<!--" not in text
    assert len(seen.scripts) == 1
    assert seen.numbers == [{"names": [NASTY]}, {NASTY: NASTY}]
    assert "49" not in "".join(seen.text)


def test_control_characters_are_spelt_out():
    text = html(page(title="a\x1b[2Jb\u202e", cards=(card(name="x\0y"),))).decode()
    assert r"a\x1b[2Jb\u202e" in text
    assert not re.search("[\0\x1b\u202e]", text)


def test_only_its_own_script_and_style_are_allowed():
    seen = Seen(html(page()).decode())
    assert len(seen.scripts) == len(seen.styles) == 1
    assert seen.policy.split("; ")[:4] == [
        "default-src 'none'",
        "img-src data:",
        f"style-src {hashed(seen.styles[0])}",
        f"script-src {hashed(seen.scripts[0])}",
    ]
    for _, found in seen.attributes:
        assert not {"style", "onclick", "onload", "onerror"} & set(found)


def test_it_needs_nothing_else():
    text = html(page()).decode()
    assert "default-src 'none'" in text
    without = re.sub(r"base64,[\w+/=]+", "", text)
    assert not re.search(r"https?:|url\((?!\"data:)|@import|<link|fetch\(|import\(", without)


def test_what_is_not_there_leaves_no_trace():
    photo = Photo("cat.png", PNG)
    bare = card(views=(View((), PNG),), words="")
    text = html(page(photos=(photo,), cards=(bare,))).decode()
    seen = Seen(text)
    assert "What it takes this for" not in text
    assert "a/Relu:0" in seen.text
    classes = {found.get("class") for _, found in seen.attributes}
    assert not classes & {"sees photo-0", "zeros", "histogram", "heats"}


def test_several_photos_stand_side_by_side():
    photos = Photo("a.png", PNG), Photo("b.png", PNG)
    seen = Seen(html(page(photos=photos, cards=(card(views=(VIEW, VIEW)),))).decode())
    assert seen.text.count("a.png") == seen.text.count("b.png") == 2
    assert [f.get("class") for tag, f in seen.attributes if tag == "svg"].count("sees photo-1") == 1


def test_layers_of_one_name_have_addresses_of_their_own():
    seen = Seen(html(page(cards=(card(), card(), card(name="a b%/#")))).decode())
    ids = [found["id"] for tag, found in seen.attributes if tag == "section"]
    assert ids == ["block1_conv1", "block1_conv1~2", "a b%/#"]
    assert [a for a in seen.addresses if a.startswith("#")][1:] == [
        "#block1_conv1~2", "#a%20b%25/%23",
    ]  # fmt: skip


def test_text_that_is_no_unicode():
    assert rb"caf\udce9.png" in html(page(title="caf\udce9.png"))


def test_a_histogram_is_not_flattened_by_its_zeros():
    assert Histogram((1000, 10, 5), 0, 1).path == ("M0 30V0.0H33.33V20.0H66.67V25.0H100.00V30Z")
    assert Histogram((7,), 1, 1).path == "M0 30V0.0H100.00V30Z"
