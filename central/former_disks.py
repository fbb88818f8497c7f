"""Lots that wait for what is on a former disk of a line PC: of which agent and series, and what to do.

A PC that was replaced, or that goes on from an older copy of its disk, leaves behind what nobody can prove: only
the disk of before can fill that, or a person explain it. A lot waits as central judged it last, until a person
has decided about it. Part of ``central.doctor``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from central.certificate import certify
from central.doctor_told import Told
from central.domain import Certificate, EpochEvidence, Grade
from central.dossier import Dossier
from central.store import awaited, dossiers, findings, search
from central.store.engine import Connection

CHECK = "former disks"
NAMED = 5
"""Most lots that are named of one series; all are counted."""
DO = (
    "export all that is on the disk of then (lotkeeper-edge buffer export --all) and import the file; without "
    "that disk a person closes the gap of each lot with a reason (docs/how-to/bring-records-by-file.md)"
)


def waited_for(connection: Connection) -> Iterator[Told]:
    """One for each series of which something is not proven while a lot waits for it; nothing in a database that
    only an older central was started on.
    """
    if not awaited.known(connection):
        return
    waiting: dict[str, list[str]] = {}
    for lot, references in _undecided(connection):
        told = (why for reference in references for why in _unproven(connection, reference))
        for why in dict.fromkeys(told):
            waiting.setdefault(why, []).append(lot)
    for why, lots in waiting.items():
        more = f" and {len(lots) - NAMED} more" if len(lots) > NAMED else ""
        yield Told(CHECK, "warning", f"{why}; so incomplete: {', '.join(lots[:NAMED])}{more}", DO)
    if not waiting:
        yield Told(CHECK, "fine", "no lot waits for what is on a former disk of a line")


def _undecided(connection: Connection) -> Iterator[tuple[str, list[str]]]:
    """Lots that are incomplete and that nobody has decided about, each with those of its orders to be decided."""
    unsettled = set(findings.unsettled_orders(connection))
    for row in findings.summaries(connection):
        if row.certificate is Grade.INCOMPLETE and row.given_up is None:
            open_ = [each for each in row.orders if each in unsettled and not _explained(connection, each)]
            if open_:
                yield f"lot {row.lot} of {row.product}", open_


def _explained(connection: Connection, reference: str) -> bool:
    held = findings.of_order(connection, reference).values()
    return any(each.finding.code == "certificate-incomplete" and each.finding.settled for each in held)


def _unproven(connection: Connection, reference: str) -> Iterator[str]:
    """What is not proven of the series in which an order has records, or of those beside them."""
    bare = Dossier(reference, None, tuple(search.facts(connection, search.Wanted(order=reference))))
    beside = dossiers.surroundings(connection, reference, None, None)
    dossier = replace(
        bare,
        neighbours=beside.neighbours,
        counting=beside.counting,
        chains=beside.chains,
        epochs=beside.epochs,
    )
    yield from _of_chains(certify(dossier, over=True), beside.epochs)


def _of_chains(proof: Certificate, epochs: Iterable[EpochEvidence]) -> Iterator[str]:
    for part in proof.chains:
        if part.grade is not Grade.INCOMPLETE:
            continue
        if part.otherwise:
            yield (
                f"{part.agent} signed another record {part.otherwise[0]} of {part.epoch} than the one that is "
                "here: its disk went on in two ways"
            )
        theirs = [each for each in epochs if each.agent == part.agent]
        breaks = [(former, later) for former, later in pairwise(theirs) if not later.joined]
        near = [pair for pair in breaks if part.epoch in (pair[0].epoch, pair[1].epoch)]
        for former, later in near or breaks:
            yield _said(former, later)


def _said(former: EpochEvidence, later: EpochEvidence) -> str:
    """Why the one does not join the other."""
    of = f"{former.agent} began {later.epoch} anew"
    if not later.gaps:
        return f"{of}, and nothing proves what it had made last in {former.epoch}, on the disk of before"
    gap = later.gaps[0]
    how = "signed that it had made" if gap.signed else "had made and no longer has"
    return f"{of}; it {how} records {gap.first} to {gap.last} of {gap.epoch}, which are not here"
