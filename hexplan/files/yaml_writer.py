"""Write YAML that this project's reader reads back unchanged."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal

import yaml

from hexplan.files.yaml_reader import reads_as_text


class Row(dict[str, object]):
    """A mapping that is written on one line, in braces."""


class _Dumper(yaml.SafeDumper):
    """Writes text in quotes wherever YAML 1.1 or 1.2 would take it for something else."""

    def ignore_aliases(self, data: object) -> bool:
        """Write a value again each time it occurs: people edit these files."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # In other styles, YAML turns a line break that is not `\n` into one that is.
    style = None if reads_as_text(text) and text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


def _decimal(dumper: _Dumper, number: Decimal) -> yaml.ScalarNode:
    digits = f"{number:f}"
    kind = "float" if "." in digits else "int"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", digits)


def _row(dumper: _Dumper, row: Row) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", row.items(), flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Decimal, _decimal)
_Dumper.add_representer(Row, _row)


def yaml_text(data: Mapping[str, object]) -> str:
    """Return a mapping as YAML, in the order of its keys and without folding long lines.

    `parse_yaml` reads the same data back. It consists of mappings with text as keys, lists, text,
    numbers, booleans and None.
    """
    text: str = yaml.dump(
        dict(data),
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=sys.maxsize,
    )
    return text
