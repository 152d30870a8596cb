"""Whether a file is JUnit XML as CI servers read it: the rules of Jenkins' junit-10.xsd."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

OUTCOMES = ("error", "failure", "skipped")
_INSIDE = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "testcase": {"properties", *OUTCOMES, "system-out", "system-err"},
    "properties": {"property"},
}
_NEEDED = {
    "testsuite": ("name", "tests", "failures", "errors"),
    "testcase": ("name", "classname", "time"),
    "property": ("name", "value"),
}
_NUMBERS = ("tests", "failures", "errors", "skipped", "time")


def problems(path: Path) -> list[str]:
    """What is wrong with the file, each with its element; empty when it can be read."""
    root = ET.parse(path).getroot()
    if root.tag not in ("testsuites", "testsuite"):
        return [f"the root is {root.tag}"]
    return [problem for element in root.iter() for problem in _of(element)]


def _of(element: ET.Element) -> Iterator[str]:
    for name in _NEEDED.get(element.tag, ()):
        if name not in element.attrib:
            yield f"{element.tag} has no {name}"
    for name in _NUMBERS:
        text = element.get(name, "0")
        if not text.replace(".", "", 1).isdigit():
            yield f"{element.tag} has {name}={text}"
    for child in element:
        if child.tag not in _INSIDE.get(element.tag, set()):
            yield f"{child.tag} in {element.tag}"
    if element.tag == "testsuite":
        cases = element.findall("testcase")
        # pytest counts a test that fails and then cannot be cleared away twice.
        if int(element.get("tests", "0")) < len(cases):
            yield f"{len(cases)} cases, and tests={element.get('tests')}"
        for attribute, tag in (("failures", "failure"), ("errors", "error")):
            if int(element.get(attribute, "0")) != sum(len(case.findall(tag)) for case in cases):
                yield f"{attribute}={element.get(attribute)} does not count the cases"
