"""A drawing whose horizontal axis is the model's layers: each stage is a bar over those it holds.

An edge runs from the end of one bar to where it enters the next, as wide as its share of the flow.
It needs no drawing library, and no script runs in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from hexplan.plan import ENTRY, EXIT, Edge, Plan, Stage
from hexplan.render import words
from hexplan.render.graph.parts import GraphParts, HostPart, edge_label, stage_label

LEFT_PX, LAYERS_PX, RIGHT_PX = 330, 760, 110
"""Widths: names of hosts, all layers, the exit."""
TOP_PX, ROW_PX, BAR_PX, HOST_GAP_PX, SITE_PX = 64, 30, 18, 10, 26
GAP_PX, GAP_SHARE = 12, 0.3
"""Between the end of a bar and the boundary of its layer, where edges turn; and at most how much of
a short bar it takes."""
WIDEST_PX = 12
CUT, PLAIN, FLOW = "#c0392b", "#4c78a8", "#7f7f7f"
LEGEND_PX = 24
LEGEND = "red limits the flow; an edge is as wide as its share of the flow"
_FONT = "font-family:system-ui,sans-serif;font-size:12px"


@dataclass(frozen=True, slots=True)
class _Bar:
    """Where a stage is drawn."""

    stage: Stage
    start_px: float
    end_px: float
    y_px: float


class _Drawing:
    """The picture of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.parts = GraphParts.of(plan)
        self._layers = plan.model.layers
        self._bars: dict[str, _Bar] = {}
        self._titles: list[tuple[str, float]] = []
        self._hosts: list[tuple[HostPart, float]] = []
        y = float(TOP_PX)
        for site in self.parts.sites:
            self._titles.append((site.name, y + SITE_PX / 2))
            y += SITE_PX
            for host in site.hosts:
                self._hosts.append((host, y + ROW_PX / 2))
                rows = _rows(host)
                for row, stage in rows:
                    start, end = (self._x(layer) for layer in stage.layers)
                    at_y = y + (row + 0.5) * ROW_PX
                    gap = min(GAP_PX, GAP_SHARE * (end - start))
                    self._bars[stage.id] = _Bar(stage, start + gap, end - gap, at_y)
                y += ROW_PX * (1 + max(row for row, _ in rows)) + HOST_GAP_PX
        self.height_px = y + 32
        self.width_px = LEFT_PX + LAYERS_PX + RIGHT_PX

    def _x(self, layer: int) -> float:
        return LEFT_PX + LAYERS_PX * layer / self._layers

    def write(self) -> Xml.Element:
        """Return the picture."""
        size = {"width": _px(self.width_px), "height": _px(self.height_px)}
        box = f"0 0 {size['width']} {size['height']}"
        root = Xml.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": box, **size})
        root.set("style", f"{_FONT};background:#fff")
        root.set("role", "img")
        Xml.SubElement(root, "title").text = words.printable(self.parts.title)
        _text(root, 16, 24, self.parts.title, style="font-size:15px;font-weight:600")
        _text(root, 16, self.height_px - 8, LEGEND, style="fill:#666")
        self._axis(root)
        for name, y in self._titles:
            _text(root, 16, y + 4, name, style="font-weight:600")
        for host, y in self._hosts:
            colour = CUT if host.is_cut else "#222"
            label = f"{host.name}: {host.devices}"
            _text(root, 28, y + 4, _cut_to(label, 36), style=f"fill:{colour}", whole=label)
        # Wide edges first, so that narrow ones are seen on top of them; labels above all.
        edges = sorted(self.parts.plan.edges, key=lambda edge: -edge.tokens_per_s)
        for edge in edges:
            self._edge(root, edge)
        for bar in self._bars.values():
            self._bar(root, bar)
        for edge in edges:
            self._edge_label(root, edge)
        return root

    def _axis(self, root: Xml.Element) -> None:
        boundaries = {0, self._layers}
        for stage in self.parts.plan.stages:
            boundaries |= set(stage.layers)
        last_px = -100.0
        for layer in sorted(boundaries):
            x = self._x(layer)
            line = {
                "x1": _px(x),
                "x2": _px(x),
                "y1": _px(TOP_PX - 6),
                "y2": _px(self.height_px - 24),
            }
            Xml.SubElement(root, "line", {**line, "stroke": "#e4e4e4"})
            if x - last_px > 26:
                _text(root, x, TOP_PX - 12, str(layer), style="text-anchor:middle;fill:#666")
                last_px = x
        _text(root, self._x(0) - 12, TOP_PX - 12, "layer", style="text-anchor:end;fill:#666")

    def _ends(self, edge: Edge) -> tuple[float, float, float, float]:
        """Return where an edge starts and where it ends."""
        boundary = self._x(edge.enter_layer if edge.target != EXIT else self._layers)
        target, source = self._bars.get(edge.target), self._bars.get(edge.source)
        if source is None:
            assert target is not None
            return boundary - 40, target.y_px, target.start_px, target.y_px
        if target is None:
            return source.end_px, source.y_px, boundary + 40, source.y_px
        enters_inside = target.stage.layers[0] < edge.enter_layer
        x = boundary + GAP_PX if enters_inside else target.start_px
        y = target.y_px
        if enters_inside:
            y += -BAR_PX / 2 if source.y_px < target.y_px else BAR_PX / 2
        return source.end_px, source.y_px, x, y

    def _edge(self, root: Xml.Element, edge: Edge) -> None:
        x1, y1, x2, y2 = self._ends(edge)
        share = self.parts.share(edge)
        bend = max(GAP_PX * 1.5, abs(x2 - x1) / 2)
        path = f"M{_px(x1)} {_px(y1)}C{_px(x1 + bend)} {_px(y1)} {_px(x2 - bend)} {_px(y2)}"
        is_cut = self.parts.is_cut_edge(edge)
        drawn = Xml.SubElement(
            root,
            "path",
            {
                "d": f"{path} {_px(x2)} {_px(y2)}"
                if y1 != y2
                else f"M{_px(x1)} {_px(y1)}H{_px(x2)}",
                "fill": "none",
                "stroke": CUT if is_cut else FLOW,
                "stroke-opacity": "0.55",
                "stroke-width": _px(max(1.0, WIDEST_PX * share)),
            },
        )
        told = f"{edge.source} to {edge.target}: {words.rate(edge.tokens_per_s)} tokens/s"
        Xml.SubElement(drawn, "title").text = words.printable(told)

    def _edge_label(self, root: Xml.Element, edge: Edge) -> None:
        """Label what enters and leaves; inside, widths and titles tell, as labels would collide."""
        x1, y1, x2, _ = self._ends(edge)
        label = edge_label(self.parts.share(edge))
        if edge.source == ENTRY:
            _text(root, x1 - 4, y1 + 4, label, style="text-anchor:end;fill:#444")
        elif edge.target == EXIT:
            _text(root, x2 + 4, y1 + 4, label, style="fill:#444")

    def _bar(self, root: Xml.Element, bar: _Bar) -> None:
        is_cut = self.parts.is_cut_stage(bar.stage)
        width = max(2.0, bar.end_px - bar.start_px)
        place = {"x": _px(bar.start_px), "y": _px(bar.y_px - BAR_PX / 2)}
        size = {"width": _px(width), "height": _px(BAR_PX), "rx": "3"}
        drawn = Xml.SubElement(root, "rect", {**place, **size, "fill": CUT if is_cut else PLAIN})
        stage = bar.stage
        load = words.load(stage.load_tokens_per_s, stage.capacity_tokens_per_s)
        label = stage_label(stage)
        Xml.SubElement(drawn, "title").text = f"{label}: {words.printable(load)} tokens/s"
        shown = label if width > 7 * len(label) else stage.id
        if width > 7 * len(shown):
            style = "text-anchor:middle;fill:#fff"
            _text(root, bar.start_px + width / 2, bar.y_px + 4, shown, style=style)


def svg(plan: Plan) -> str:
    """Return the drawing: the same bytes for the same plan."""
    root = _Drawing(plan).write()
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode") + "\n"


def _rows(host: HostPart) -> list[tuple[int, Stage]]:
    """Place stages in rows: one that begins where another ends may share its row."""
    ends: list[int] = []
    placed: list[tuple[int, Stage]] = []
    for stage in host.stages:
        row = next((r for r, end in enumerate(ends) if end <= stage.layers[0]), len(ends))
        ends[row : row + 1] = [stage.layers[1]]
        placed.append((row, stage))
    return placed


def _text(
    root: Xml.Element, x: float, y: float, text: str, *, style: str, whole: str | None = None
) -> None:
    drawn = Xml.SubElement(root, "text", {"x": _px(x), "y": _px(y), "style": style})
    drawn.text = words.printable(text)
    if whole is not None and whole != text:
        Xml.SubElement(drawn, "title").text = words.printable(whole)


def _cut_to(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
