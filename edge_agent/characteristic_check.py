"""What a line file says wrong of a characteristic and the tags that it is read from.

A characteristic that no station captures would never be judged, and nobody would notice.
"""

from __future__ import annotations

from collections.abc import Iterator

from drivers.tags import TagSettings
from edge_agent.line_view import LineView, Use
from records.errors import Problem


def check_characteristics(line: LineView) -> Iterator[Problem]:
    """Everything that is wrong."""
    written = {use.tag for use in line.uses if use.kind == "write"}
    for use in line.uses:
        tag = line.tag(use.tag)
        if tag is not None and use.path[0] == "characteristics":
            yield from _check_tag(line, use, tag, written)
        elif tag is not None and use.kind == "place":
            yield from _check_place(line, use, tag)


def _check_tag(line: LineView, use: Use, tag: TagSettings, written: set[str]) -> Iterator[Problem]:
    if use.kind != "place" and is_no_number(tag):
        hint = "a characteristic is one number a run" if use.kind == "characteristic" else "a size is a number"
        yield line.problem(use.path, f"{use.tag} is no number", hint)
        return
    if use.kind == "place":
        yield from _check_place(line, use, tag)
    elif tag.access == "write" or use.tag in written:
        message = f"{use.tag} may be written: what we write ourselves is no measurement"
        yield line.problem(use.path, message, "take access: write from the tag, or name the measured one")
        return
    if not line.stations or not line.stations_are_whole:
        return
    by = {name: set(station.captured()) for name, station in line.stations.items()}
    if not any(use.tag in tags for tags in by.values()):
        yield line.problem(use.path, f"no station captures {use.tag}", "add it to capture: of its station")
        return
    needed = line.characteristics[str(use.path[1])].read()
    if use.tag == needed[0] or any(tags.issuperset(needed) for tags in by.values()):
        return
    beside = next(tag for tag in needed if not any({tag, use.tag} <= tags for tags in by.values()))
    message = f"no station captures {use.tag} together with {beside}"
    yield line.problem(
        use.path, message, "what makes one reading is read at one moment: capture both at one station"
    )


def _check_place(line: LineView, use: Use, tag: TagSettings) -> Iterator[Problem]:
    """A tool, cavity or head has a name: a text or a whole number."""
    kind = tag.type_name
    if kind.endswith("[]") or kind.startswith(("float", "bool")):
        yield line.problem(
            use.path, f"{use.tag} is {kind}, which names nothing", "a text or a whole number is needed"
        )


def is_no_number(tag: TagSettings) -> bool:
    """Whether the tag's readings can't be counted or charted."""
    kind = tag.type_name
    return kind != "" and (kind.endswith("[]") or not kind.startswith(("int", "uint", "float")))
