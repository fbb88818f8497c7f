"""The edge's durable buffer; see ``store`` for its promise."""

from edge_agent.outbox.glance import Glance, glance, records_of
from edge_agent.outbox.store import MAX_BODY, Outbox
from edge_agent.outbox.thinning import GivenUp
from edge_agent.outbox.types import (
    Applied,
    Batch,
    Gap,
    IdentityIndex,
    KeptDocument,
    Outcome,
    Pending,
    Place,
    Run,
    RunIndex,
    Verification,
)
from edge_agent.outbox.verify import Contents, export, inspect, verify

__all__ = [
    "MAX_BODY",
    "Applied",
    "Batch",
    "Contents",
    "Gap",
    "GivenUp",
    "Glance",
    "IdentityIndex",
    "KeptDocument",
    "Outbox",
    "Outcome",
    "Pending",
    "Place",
    "Run",
    "RunIndex",
    "Verification",
    "export",
    "glance",
    "inspect",
    "records_of",
    "verify",
]
