"""Pictures of a plan as a graph: SVG, Mermaid's and Graphviz's languages."""

from hexplan.render.graph.dot import dot
from hexplan.render.graph.mermaid import mermaid
from hexplan.render.graph.svg import svg

__all__ = ["dot", "mermaid", "svg"]
