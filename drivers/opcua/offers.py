"""What a server offers to those who know nothing of it yet: its endpoints and the certificate of each."""

from __future__ import annotations

from dataclasses import dataclass

from asyncua.client.client import Client

from drivers.opcua.certificates import fingerprint, split_chain
from drivers.opcua.failures import reason
from drivers.opcua.security import short
from records.errors import Refused, Unreachable


@dataclass(frozen=True, slots=True)
class Offer:
    """One endpoint. ``fingerprint`` is None where the server sends no certificate."""

    policy: str
    mode: str
    fingerprint: str | None


async def offers_of(endpoint: str, timeout_s: float) -> tuple[Offer, ...]:
    """The endpoints, those that protect most first.

    Raises:
        Unreachable: nothing answers there as an OPC UA server.
    """
    try:
        found = await Client(endpoint, timeout=timeout_s).connect_and_get_server_endpoints()
    except Exception as error:
        hint = "check cable, address and port, and that the server runs"
        raise Unreachable(f"{endpoint}: {reason(error)}", hint=hint) from None
    found.sort(key=lambda each: -(each.SecurityLevel or 0))
    return tuple(
        Offer(short(each.SecurityPolicyUri), each.SecurityMode.name.rstrip("_"), _print(each.ServerCertificate))
        for each in found
    )


def _print(sent: bytes | None) -> str | None:
    try:
        return fingerprint(split_chain(sent or b"")[0])
    except Refused:
        return None
