"""The JSON Schema of the line file, for editors."""

from __future__ import annotations

from drivers.tags import ALIASES
from edge_agent.settings import LineSettings
from records.yaml.schema import Schema, json_schema


def line_schema() -> Schema:
    """What ``config/schema/line.schema.json`` holds and ``lotkeeper-edge check --schema`` prints."""
    return json_schema(LineSettings, title="Lotkeeper line file", aliases=ALIASES)
