"""The catalogue of reasons as it stands, for those who decide something."""

from __future__ import annotations

from central.store import documents
from central.store.engine import Store
from records.kinds import REASONS
from records.reasons import NO_REASONS, Catalogue, Group, Told
from records.wire import PLANT


def catalogue(store: Store) -> Catalogue:
    """The newest; an empty one where the plant has none."""
    with store.read() as connection:
        newest = documents.newest(connection, REASONS, PLANT)
    return NO_REASONS if newest is None or newest.content is None else Catalogue.of(newest)


def told(store: Store, group: Group, reason: str) -> Told:
    """What a record is to hold of a person's reason.

    Raises:
        Invalid: its code is none of the group, with the list.
    """
    return catalogue(store).told(group, reason)
