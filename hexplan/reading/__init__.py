"""From a cluster.yaml, and the files it names, to a `Spec`."""

from hexplan.reading.reader import SPEC_VERSION, parse_spec, read_spec

__all__ = ["SPEC_VERSION", "parse_spec", "read_spec"]
