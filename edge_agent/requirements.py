"""What must be there before a run may start: one list that the interlock and the operator's prompts evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge_agent.recording import MountedLot
from edge_agent.station_settings import StationSettings
from records.model import Requirement


class Present(Protocol):
    """What a station has right now."""

    @property
    def order(self) -> str | None: ...
    @property
    def operator(self) -> str | None: ...
    @property
    def lots(self) -> Sequence[MountedLot]: ...
    @property
    def loaded(self) -> Sequence[object]: ...


def start_requirements(settings: StationSettings) -> tuple[Requirement, ...]:
    """The requirements of the start gate, in the order in which an operator meets them."""
    needs = settings.permit.needs if settings.permit else ()
    listed: list[Requirement] = []
    for need in ("operator", "order", "material", "subject"):
        if need not in needs:
            continue
        if need == "material":
            listed += [
                Requirement("start", "material", "run", m.item, str(m.per_unit)) for m in settings.materials
            ]
        else:
            listed.append(Requirement("start", need))
    return tuple(listed)


def missing(requirements: Sequence[Requirement], present: Present) -> tuple[Requirement, ...]:
    """Those that are not met."""
    mounted = {lot.item for lot in present.lots}
    met = {
        "operator": present.operator is not None,
        "order": present.order is not None,
        "subject": bool(present.loaded),
    }
    return tuple(r for r in requirements if not (r.needs in mounted if r.kind == "material" else met[r.kind]))
