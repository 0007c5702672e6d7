"""Where a cluster.yaml says what: the lines of its hosts and of the fields at its top."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hexplan.files.yaml_reader import YamlDocument, read_yaml
from hexplan.reading.names import expand


def spec_lines(path: Path) -> Mapping[str, int]:
    """Return the line of each host, as `host NAME`, and of each field at the top of a valid spec.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    document = read_yaml(path)
    return dict(_lines(document))


def _lines(document: YamlDocument) -> Iterator[tuple[str, int]]:
    for name in document.data:
        yield name, document.lines[(name,)]
    hosts = document.data.get("hosts")
    for index, entry in enumerate(hosts if isinstance(hosts, list) else ()):
        names = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(names, str):
            line = document.lines[("hosts", index)]
            yield from ((f"host {name}", line) for name in expand(names))
