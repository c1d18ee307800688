"""A drawing as SVG for a page: coloured by the page's variables, without style attributes, with ids of its own, and short."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

from mlbench_core.report.charts.style import LIGHT

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
FINE = re.compile(r"-?\d+\.\d{3,}")
PIXELS = 1.44
"""CSS pixels of a point in a page: text of 10 points is as large as the page's tables."""
BY_COLOUR = {colour: f"--{name}" for name, colour in LIGHT.by_name().items()}
"""The variables of a page by the colours that a chart is drawn with; a test holds that no two are alike."""


def for_page(svg: bytes, name: str, title: str) -> str:
    """The drawing for a page: its ids are the page's only ones of that name, its colours the page's variables, no style
    attribute (a strict Content-Security-Policy forbids them), and a name for who cannot see it."""
    root = ET.fromstring(svg)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for sheet in [*root.iter(f"{{{SVG}}}defs")]:
        for style in sheet.findall(f"{{{SVG}}}style"):
            sheet.remove(style)
    _shorten(root)
    for element in root.iter():
        _adapt(element, name)
    for side in ("width", "height"):  # from points, so that text is as large in every chart
        root.set(side, f"{PIXELS * float(root.get(side, '0').removesuffix('pt')):.0f}")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title")
    label = ET.Element(f"{{{SVG}}}title", {"id": f"{name}-title"})
    label.text = title
    root.insert(0, label)
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    return ET.tostring(root, encoding="unicode")


def _shorten(root: ET.Element) -> None:
    """Leaves out what nobody sees: ids that nothing refers to, rotations by nothing, groups of nothing in common, indentation,
    thousandths of a pixel. It is more than half of the text."""
    used = set(
        re.findall(r"#([\w.-]+)", " ".join(value for element in root.iter() for value in element.attrib.values()))
    )
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        for key, value in element.attrib.items():
            element.set(key, " ".join(FINE.sub(lambda found: f"{float(found[0]):.2f}", value).split()))
        if not (element.text or "").strip():
            element.text = None
        element.tail = None

    _ungroup(root)


def _ungroup(element: ET.Element) -> None:
    for child in element:
        _ungroup(child)
    parts = [[*child] if child.tag == f"{{{SVG}}}g" and not child.attrib else [child] for child in element]
    element[:] = itertools.chain(*parts)


def _adapt(element: ET.Element, name: str) -> None:
    for key, value in [*element.attrib.items()]:
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == f"{{{XLINK}}}href":
            element.set(key, value.replace("#", f"#{name}-"))
        elif key == "style":
            del element.attrib[key]
            for part in value.split(";"):
                _set_property(element, *(word.strip() for word in part.partition(":")[::2]))
    for key, value in [*element.attrib.items()]:
        element.set(key, re.sub(r"url\(#", f"url(#{name}-", value))
    for key in ("fill", "stroke"):
        if element.get(key, "").lower() in BY_COLOUR:
            element.set(key, f"var({BY_COLOUR[element.get(key, '').lower()]})")


def _set_property(element: ET.Element, prop: str, value: str) -> None:
    """A CSS property as a presentation attribute; the page has its own font family."""
    if prop == "font":
        size = re.search(r"([\d.]+)px", value)
        element.set("font-size", size[1] if size else "10")
        if "bold" in value or re.search(r"\b[6-9]00\b", value):
            element.set("font-weight", "bold")
    elif prop and prop != "font-family":
        element.set(prop, value)
