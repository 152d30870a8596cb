"""Policy files that a topology names, read in and written out in their place.

A running lab derives its model again from the document alone, so nothing in a document may depend on
another file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.document import source as document
from edge.errors import InputError, Problem
from edge.qos import policyfile
from edge.qos.profiles import PROFILES
from lab.topology.source import DocumentPath, Source, step

_STAND_IN = "none"
"""The policy that stands for one that cannot be read, while the rest of the file is judged."""


def write_out(source: Source, directory: Path) -> list[Problem]:
    """Put the contents of policy files where `source` names them; what is wrong with them.

    directory: where relative paths begin. Names of built-in policies stay.
    """
    problems: list[Problem] = []
    sites = step(source.data, "sites")
    for name, site in sites.items() if isinstance(sites, dict) else ():
        qos = step(site, "qos")
        word = qos if isinstance(qos, str) else step(qos, "policy")
        if not isinstance(word, str) or not _is_file_name(word):
            continue
        path: DocumentPath = ("sites", name, "qos")
        if isinstance(qos, dict):
            path = (*path, "policy")
        found, wrong = _read(source, path, directory / word)
        problems += wrong
        if isinstance(qos, dict):
            qos["policy"] = found
        else:
            site["qos"] = {"policy": found}
    return problems


def _is_file_name(word: str) -> bool:
    return word not in PROFILES and ("/" in word or Path(word).suffix in (".yml", ".yaml", ".json"))


def _read(source: Source, path: DocumentPath, file: Path) -> tuple[Any, list[Problem]]:
    try:
        known = file.is_file()
    except (OSError, ValueError):
        known = False
    if not known:
        words = f"there is no policy file {file}"
        return _STAND_IN, [source.problem(path, words, "its path is seen from the topology file's folder")]
    try:
        policyfile.load(file)
        return document.read(file, policyfile.POLICY).data, []
    except InputError as error:
        return _STAND_IN, list(error.problems)
