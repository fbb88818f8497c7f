"""Gap certificates for who asks: of a lot as its record shows it, of an agent as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import takewhile

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from central.agent_certificate import certificate_of
from central.domain import ChainPart, Grade
from central.reviews import Reviews
from central.store import envelopes
from central.store.brought import Part, brought
from central.store.chains import RECORDS
from central.store.engine import Connection, Store, unless_away
from records import chain
from records.clock import Clock
from records.errors import ConfigurationError, Unknown

WAIT_S = 1.0
"""A write that is at work for longer is not waited for."""


class Certificates:
    """``grace_s``: how old an agent's signed head may be before its tail counts as unknown."""

    def __init__(self, store: Store, reviews: Reviews, clock: Clock, grace_s: float) -> None:
        self._store = store
        self._reviews = reviews
        self._clock = clock
        self._grace_s = grace_s

    def of_agent(self, agent: str) -> JsonValue:
        """Its chains and the cycles of its stations.

        Raises:
            Unknown: nothing is here of it.
        """
        self._prove_heads()
        with self._store.read() as connection:
            return certificate_of(connection, agent, self._clock.now_us(), self._grace_s)

    def of_lot(self, lot: str, product: str | None) -> JsonValue:
        """What the lot's device history record says of gaps. ``altered``: records that are not what they were.

        Raises:
            Unknown: no such lot. ConfigurationError: one of several products.
        """
        self._prove_heads()
        found = self._reviews.find(lot, product)
        if not found:  # it may have come in this moment
            self._reviews.sweep()
            found = self._reviews.find(lot, product)
        if len(found) > 1:
            raise ConfigurationError(f"several products have a lot {lot}", hint="name one with --product")
        record = self._reviews.get(found[0]) if found else None
        if record is None:
            raise Unknown(f"there is no lot {lot}" + (f" of {product}" if product else ""))
        proof = record.certificate
        with self._store.read() as connection:
            altered = list(altered_in(connection, proof.chains))
            by_file = brought(connection, parts_of(proof.chains))
        told: JsonValue = to_jsonable_python(
            {
                "lot": record.lot,
                "product": record.product,
                "orders": [order.reference for order in record.orders],
                "grade": (Grade.INCOMPLETE if altered else proof.grade).value,
                "chains": [asdict(chain) | {"joined": not chain.unproven} for chain in proof.chains],
                "cycles": [asdict(cycle) for cycle in proof.cycles],
                "given_up": None if record.given_up is None else record.given_up.to_json(),
                "altered": [{"agent": agent, "epoch": epoch, "seq": seq} for agent, epoch, seq in altered],
                "brought": [each.to_json() for each in by_file],
            }
        )
        return told

    def _prove_heads(self) -> None:
        """So that an answer knows all that came; who reads does not wait for what holds up all writes."""
        if self._store.under_way_s <= WAIT_S:
            with unless_away():
                self._reviews.prove_heads()


def parts_of(chains: Iterable[ChainPart]) -> list[Part]:
    """The records that a lot's certificate is about."""
    return [Part(each.agent, each.epoch, RECORDS, each.first, each.last) for each in chains]


def altered_in(connection: Connection, chains: Iterable[ChainPart]) -> Iterator[tuple[str, str, int]]:
    """Agent, epoch and seq of records whose body is not the one that its digest was taken of.

    Of the records that a lot needs only; hashes, signatures and anchors are ``verify``'s.
    """
    for part in chains:
        held = envelopes.walk(connection, part.agent, part.epoch, "records", after=part.first - 1)
        for item in takewhile(lambda each, last=part.last: each.seq <= last, held):  # type: ignore[misc]
            if item.body is not None and (
                not isinstance(item.body, bytes) or chain.digest(item.body) != item.digest
            ):
                yield part.agent, part.epoch, item.seq
