"""Which device stands behind an OPC UA server: maker, model, serial number, firmware and hardware, where it tells.

The device information model (OPC 10000-100) is asked first: the objects of ``DeviceSet`` and their nameplate
properties, and the server's own ``BuildInfo`` (OPC 10000-5, 6.3.5) for what is not there. The search is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from pydantic import JsonValue

from drivers.opcua.limits import Limits, parts

DI = "http://opcfoundation.org/UA/DI/"
_DEVICE_SET = 5001
_DEVICES_AT_MOST = 20
_TEXT_AT_MOST = 200
_NAMEPLATE = {
    "Manufacturer": "manufacturer",
    "Model": "model",
    "SerialNumber": "serial",
    "SoftwareRevision": "firmware",
    "HardwareRevision": "hardware",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says of itself; None what it does not tell. Of several devices each value stands, once."""

    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    hardware: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        return asdict(self)


async def identify(client: Client, namespaces: Sequence[str], limits: Limits) -> Identity | None:
    """The identity, None when the server tells nothing.

    Raises:
        Exception: what asyncua raises when the server does not answer.
    """
    found: dict[str, list[str]] = {key: [] for key in _NAMEPLATE.values()}
    if DI in namespaces:
        for key, text in await _nameplates(client, namespaces.index(DI), limits):
            if text not in found[key]:
                found[key].append(text)
    told = {key: ", ".join(texts)[:_TEXT_AT_MOST] for key, texts in found.items() if texts}
    for key, text in (await _build_info(client)).items():
        told.setdefault(key, text)
    return Identity(**told) if told else None


async def _build_info(client: Client) -> dict[str, str]:
    node = ua.NodeId(ua.Int32(ObjectIds.Server_ServerStatus_BuildInfo))
    (answer,) = await client.uaclient.session.read(
        ua.ReadParameters(NodesToRead=[ua.ReadValueId(node, AttributeIds.Value)])
    )
    info = None if answer.Value is None else answer.Value.Value
    if not isinstance(info, ua.BuildInfo):
        return {}
    told = {"manufacturer": info.ManufacturerName, "model": info.ProductName, "firmware": info.SoftwareVersion}
    return {key: text for key, value in told.items() if (text := _text(value))}


async def _nameplates(client: Client, namespace: int, limits: Limits) -> list[tuple[str, str]]:
    device_set = ua.NodeId(ua.Int32(_DEVICE_SET), ua.Int16(namespace))
    devices = await _children(client, [device_set], ObjectIds.HierarchicalReferences, limits)
    nodes = [found.NodeId for found in devices if found.NodeClass == ua.NodeClass.Object][:_DEVICES_AT_MOST]
    properties = [
        (_NAMEPLATE[name], found.NodeId)
        for found in await _children(client, nodes, ObjectIds.HasProperty, limits)
        if (name := found.BrowseName.Name) in _NAMEPLATE
    ]
    told: list[tuple[str, str]] = []
    for part in parts(properties, limits.nodes_per_read):
        wanted = [ua.ReadValueId(node, AttributeIds.Value) for _, node in part]
        answers = await client.uaclient.session.read(ua.ReadParameters(NodesToRead=wanted))
        for (key, _), answer in zip(part, answers, strict=False):
            text = _text(None if answer.Value is None else answer.Value.Value)
            if text:
                told.append((key, text))
    return told


async def _children(
    client: Client, nodes: Sequence[ua.NodeId], reference: int, limits: Limits
) -> list[ua.ReferenceDescription]:
    """What these nodes refer to, the first of each; more than one answer holds is not asked for."""
    found: list[ua.ReferenceDescription] = []
    for part in parts(nodes, limits.nodes_per_browse):
        wanted = [
            ua.BrowseDescription(
                NodeId=node,
                BrowseDirection=ua.BrowseDirection.Forward,
                ReferenceTypeId=ua.NodeId(ua.Int32(reference)),
                IncludeSubtypes=True,
                NodeClassMask=0,
                ResultMask=ua.BrowseResultMask.All,
            )
            for node in part
        ]
        parameters = ua.BrowseParameters(RequestedMaxReferencesPerNode=100, NodesToBrowse=wanted)
        results = await client.uaclient.session.browse(parameters)
        open_points = [result.ContinuationPoint for result in results if result.ContinuationPoint]
        if open_points:
            await client.uaclient.session.browse_next(
                ua.BrowseNextParameters(ReleaseContinuationPoints=True, ContinuationPoints=open_points)
            )
        found += [reference for result in results for reference in result.References or ()]
    return found


def _text(value: object) -> str:
    if isinstance(value, ua.LocalizedText):
        value = value.Text
    return str(value).strip()[:_TEXT_AT_MOST] if isinstance(value, str | int) and str(value).strip() else ""
