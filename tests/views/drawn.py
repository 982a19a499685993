"""What figures look like, for tests that count their pixels or read their SVG."""

from xml.etree import ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


def drawn(make):
    """Return a function that draws what another one lists."""
    return lambda *arguments, **keywords: make(*arguments, **keywords).pixels()


def elements(drawing, scale=1):
    """Return the root of a figure's SVG; refuse whatever is no drawing, or lies elsewhere."""
    return parsed(drawing.svg(scale))


def parsed(svg):
    root = ET.fromstring(svg)
    assert {element.tag for element in root.iter()} <= {
        SVG + name for name in ("svg", "rect", "line", "polygon", "text", "image")
    }
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert not name.endswith("href") or value.startswith("data:image/png;base64,")
    return root


def texts(root):
    return [element.text for element in root.iter(SVG + "text")]
