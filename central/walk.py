"""The walk of one piece through its routing: what it had twice, what it never had, and where it came from.

Pure. What is absent is judged only once everything that the agents of the absent operation recorded before the
piece's next run is here: data on its way is no exception.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from central.causes import About, make, piece_subject
from central.domain import Finding, Piece, Run
from central.dossier import Dossier
from records.model import Purpose


def of_walk(about: About, piece: Piece, dossier: Dossier) -> list[Finding]:
    """Operations that one piece had twice or not at all, and a piece that comes out of nowhere."""
    done = [run for run in piece.runs if run.counts and run.result != "aborted"]
    found = _repeated(about, piece, done)
    routing = dossier.routing
    firsts: dict[str, Run] = {}
    for run in done:
        firsts.setdefault(run.operation, run)
    steps = [operation for operation in routing if operation in firsts]
    if not steps:
        return found
    entry, last = routing.index(steps[0]), routing.index(steps[-1])
    unexplained = [o for o in routing[:entry] if _all_here(dossier, o, firsts[steps[0]])]
    if unexplained:
        run = firsts[steps[0]]
        params: dict[str, JsonValue] = {"piece": piece.name, "operation": run.operation}
        found.append(_of_piece(about, piece, "identity-unknown", (piece.key,), params, run))
    for index in range(entry, last):
        operation = routing[index]
        later = firsts[next(o for o in routing[index:] if o in firsts)]
        if operation in firsts or not _all_here(dossier, operation, later):
            continue
        params = {"operation": operation, "piece": piece.name, "next": later.operation}
        found.append(_of_piece(about, piece, "operation-missing", (piece.key, operation), params, later))
    return found


def _repeated(about: About, piece: Piece, done: Sequence[Run]) -> list[Finding]:
    found = []
    plain = [run for run in done if run.purpose == Purpose.PRODUCTION.value]
    for operation in dict.fromkeys(run.operation for run in plain):
        runs = [run for run in plain if run.operation == operation]
        for index, extra in enumerate(runs[1:], 1):
            so_far: list[JsonValue] = [run.run_id for run in runs[: index + 1]]  # a later run changes nothing here
            params: dict[str, JsonValue] = {"operation": operation, "piece": piece.name, "runs": so_far}
            found.append(_of_piece(about, piece, "operation-repeated", (extra.run_id, piece.key), params, extra))
    return found


def _all_here(dossier: Dossier, operation: str, later: Run) -> bool:
    """Whether a run of this operation that came before ``later`` would be here by now."""
    agents = dossier.agents_of.get(operation)
    if not agents:
        return dossier.order is not None and dossier.order.state in ("closed", "cancelled")
    return all(dossier.known_us(agent) >= later.began_us for agent in agents)


def _of_piece(
    about: About, piece: Piece, code: str, target: Sequence[str], params: Mapping[str, JsonValue], run: Run
) -> Finding:
    return make(
        about,
        "exception",
        code,
        target,
        params,
        records=(run.ref,),
        subjects=(piece_subject(piece),),
        operation=run.operation,
        station=run.station,
        agent=run.ref.agent,
        at_us=run.ended_us,
    )
