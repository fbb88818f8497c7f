"""Requests that are encoded once, sent through asyncua's secure channel; answers as their bytes.

asyncua spends a third of a bulk read on encoding the same request again, two thirds on an object for each value.
Here a request is encoded once, only its time and number are set anew, and ``columns`` decodes the answer. Channel,
security, chunks, tokens and time-outs stay the library's: what is used of its private parts is in ``_send`` alone,
for the version that is pinned. With another version every request goes through its public way, slower and else
the same.
"""

from __future__ import annotations

import asyncio
import struct
from importlib.metadata import version
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UASocketProtocol
from asyncua.common.utils import Buffer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary, struct_to_binary
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua import binary
from drivers.opcua.session import Session

PINNED = "2.1.0"
"""The version of asyncua whose private parts ``_send`` knows."""
FITS = version("asyncua") == PINNED

_TIME_AND_HANDLE = struct.Struct("<qI")
_DIAGNOSTIC_INFO = 25


class Request:
    """A request of one session, encoded when it is first sent."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self._encoded = bytearray()
        self._patch_at = 0
        self._token: ua.NodeId | None = None

    def encoded(self, token: ua.NodeId, timeout_s: float, handle: int, now_us: int) -> bytes:
        """The request's bytes with this number and time; anew when the session is another."""
        if token != self._token:
            header = self.request.RequestHeader
            header.AuthenticationToken, header.TimeoutHint = token, ua.UInt32(int(timeout_s * 1000))
            self._encoded = bytearray(struct_to_binary(self.request))
            self._patch_at = len(nodeid_to_binary(self.request.TypeId)) + len(nodeid_to_binary(token))
            self._token = token
        ticks = now_us * 10 + binary.TICKS_1970
        _TIME_AND_HANDLE.pack_into(self._encoded, self._patch_at, ticks, handle)
        return bytes(self._encoded)


def read_request(nodes: list[ua.NodeId]) -> Request:
    """A read of the values of these nodes with both times."""
    request = ua.ReadRequest()
    request.Parameters = ua.ReadParameters(
        TimestampsToReturn=ua.TimestampsToReturn.Both,
        NodesToRead=[ua.ReadValueId(node, AttributeIds.Value) for node in nodes],
    )
    return Request(request)


async def ask(session: Session, request: Request, now_us: int, timeout_s: float) -> bytes:
    """The answer's bytes after its header; ``timeout_s`` 0 waits for ever.

    Raises:
        Unreachable: there is no answer, or it is an error of the whole request.
    """
    return await session.call(_asked(session, request, now_us, timeout_s))


async def plain(session: Session, request: Any, timeout_s: float | None = None) -> bytes:
    """As ``ask`` for a request that is sent once, by the library's public way; the session's time-out when none is
    given.

    Raises:
        UaStatusCodeError: the server refuses the request. Malformed, and what a lost connection raises.
    """
    return body(bytes(await _protocol(session).send_request(request, timeout_s)))


def _protocol(session: Session) -> UASocketProtocol:
    protocol = session.client.uaclient.protocol
    if protocol is None:
        raise ConnectionError("the connection is closed")
    return protocol


async def _asked(session: Session, request: Request, now_us: int, timeout_s: float) -> bytes:
    if not FITS:
        return await plain(session, request.request, timeout_s)
    return body(bytes(await _send(_protocol(session), request, now_us, timeout_s)))


async def _send(protocol: UASocketProtocol, request: Request, now_us: int, timeout_s: float) -> Buffer:
    """As ``UASocketProtocol.send_request``, but for the encoding."""
    if protocol.pre_request_hook:
        await protocol.pre_request_hook()
    if protocol.transport is None:
        raise ConnectionError("the connection is closed")
    handle, number = protocol._request_handle + 1, protocol._request_id + 1
    encoded = request.encoded(protocol.authentication_token, timeout_s, handle & 0xFFFFFFFF, now_us)
    protocol.revolve_security_token()
    message = protocol._connection.message_to_binary(encoded, request_id=number)
    protocol._request_handle, protocol._request_id = handle, number
    answer: asyncio.Future[Buffer] = asyncio.get_running_loop().create_future()
    protocol._callbackmap[number] = answer
    protocol.transport.write(message)
    async with asyncio.timeout(timeout_s or None):
        data = await answer
    protocol.check_answer(data, " in response to a request of lotkeeper")
    return data


def body(answer: bytes) -> bytes:
    """What follows the header of an answer.

    Raises:
        UaStatusCodeError: the server refuses the request. Malformed.
    """
    at = binary.node_id_end(answer, 0) + 12
    result = binary.int32(answer, at) & 0xFFFFFFFF
    at = binary.element_end(_DIAGNOSTIC_INFO, answer, at + 4)
    strings, at = binary.int32(answer, at), at + 4
    for _ in range(max(0, strings)):
        at = binary.counted_end(answer, at)
    at = binary.extension_object(answer, at)[3]
    if result >= 0x80000000:
        raise UaStatusCodeError(result)  # type: ignore[no-untyped-call]
    return answer[at:]


def as_library(answer: bytes) -> bytes:
    """DataValues as asyncua understands them, encoded anew: for an answer that ``columns`` does not.

    Raises:
        Malformed: the library does not either.
    """
    try:
        data = Buffer(answer)
        count = struct.unpack("<i", data.read(4))[0]
        values = [struct_from_binary(ua.DataValue, data) for _ in range(max(0, count))]
        return struct.pack("<i", len(values)) + b"".join(struct_to_binary(value) for value in values)
    except Exception as error:  # it was made for good answers only: what it raises for others is anything
        raise binary.Malformed(f"{type(error).__name__}: {error}") from None
