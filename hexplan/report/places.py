"""Places: the line of the cluster.yaml, or of the plan.json, that a violation is about."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hexplan.check import Violation
from hexplan.plan import Plan
from hexplan.report.finding import Place

_STAGE = re.compile(r"stage ([^\s,]+)|edge ([^\s,>]+)>")
_HOST = re.compile(r"host ([^\s,]+)|(?:nic-in|nic-out):([^\s,]+)")
_SECTIONS = ("coordinator", "devices", "limits", "links", "model", "name", "objective", "workload")
"""Fields of a cluster.yaml that a violation may begin with, or name after `cluster, `."""


@dataclass(frozen=True, slots=True)
class PlaceFinder:
    """Finds the line that a person would change."""

    plan: Plan
    plan_file: str
    plan_text: str
    spec_file: str | None = None
    """The cluster.yaml, if the user gave it."""
    spec_lines: Mapping[str, int] = field(default_factory=dict)
    """Its lines by `host NAME`, and by the name of a field at its top."""

    def place(self, violation: Violation) -> Place:
        """Return the line that a violation is about; the first one where none is known."""
        stage, host = self._stage(violation.where), self._host(violation.where)
        if self.spec_file is not None:
            line = self._spec_line(violation.where, host)
            return Place(self.spec_file, line)
        if stage is not None:
            return Place(self.plan_file, self._plan_line("id", stage))
        return Place(self.plan_file, 1 if host is None else self._plan_line("name", host))

    def _spec_line(self, where: str, host: str | None) -> int:
        if host is not None and f"host {host}" in self.spec_lines:
            return self.spec_lines[f"host {host}"]
        words = where.removeprefix("cluster, ").replace(",", " ").split()
        section = words[0] if words else ""
        return self.spec_lines.get(section, 1) if section in _SECTIONS else 1

    def _stage(self, where: str) -> str | None:
        match = _STAGE.search(where)
        return None if match is None else match[1] or match[2]

    def _host(self, where: str) -> str | None:
        match = _HOST.search(where)
        if match is not None:
            return match[1] or match[2]
        stage = self._stage(where)
        return next((one.host for one in self.plan.stages if one.id == stage), None)

    def _plan_line(self, key: str, value: str) -> int:
        """Return the first line with a field of this value, as `solve` writes plans."""
        wanted = f'"{key}": {json.dumps(value, ensure_ascii=False)}'
        at = self.plan_text.find(wanted)
        return 1 if at < 0 else self.plan_text.count("\n", 0, at) + 1
