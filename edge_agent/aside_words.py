"""What a person is told of files of a buffer that were set aside: status, log, ``check`` and ``buffer export``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

if TYPE_CHECKING:
    from edge_agent.outbox.aside import SetAside


def aside_json(one: SetAside) -> dict[str, JsonValue]:
    """As status tells it; ``waiting`` and ``left`` are null where they cannot be read."""
    return {
        "file": str(one.path),
        "why": one.why,
        "stream": one.stream,
        "agent": one.agent,
        "waiting": one.waiting,
        "left": one.left,
    }


def aside_says(one: Mapping[str, Any]) -> str:
    """The file, what of it is nowhere else, and what to do."""
    what = "records" if one["stream"] == "records" else "telemetry chunks"
    file, agent, left = one["file"], one["agent"] or "an unknown agent", one["left"]
    if left == 0:
        return (
            f"{file} was set aside; nothing of it is missing elsewhere: move it away once central has everything"
        )
    if left is None:
        return (
            f"{file} was set aside as {one['why']}, and what of it central lacks cannot be told: keep it and the "
            "disk, and tell quality; at central, certificate --agent says what is missing"
        )
    if one["why"] == "damaged":
        return (
            f"{file} was set aside as damaged: {left} {what} of {agent} in it prove themselves no more and are "
            f"nowhere else: keep it and the disk, and tell quality; at central, certificate --agent {agent} says "
            "what is missing"
        )
    return (
        f"{file} was set aside, since another agent was at work here: {left} {what} of {agent} in it have not "
        f"come to central: lotkeeper-edge buffer export --folder {file} --identity IDENTITY-FOLDER-OF-{agent}, "
        "import that at central, then move the file away"
    )
