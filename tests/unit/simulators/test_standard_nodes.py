"""An OPC UA server that is started from the kept nodes is the one that made them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uatypes import NodeId

from simulators import standard_nodes


async def started() -> Server:
    server = Server()
    await standard_nodes.load_into(server)
    return server


def seen(server: Server, node: NodeId) -> tuple[object, ...]:
    found = server.iserver.aspace[node]
    name = found.attributes[AttributeIds.BrowseName].value
    assert name is not None
    targets = sorted(str(reference.NodeId) for reference in found.references)
    return name.Value, sorted(found.attributes), targets


def test_a_server_from_the_kept_nodes_has_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOTKEEPER_CACHE", str(tmp_path))

    async def job() -> None:
        made, meanwhile = await asyncio.gather(started(), started())  # as two processes that start at once
        nodes = [*made.iserver.aspace.keys()]
        assert len(nodes) > 5_000
        assert [*meanwhile.iserver.aspace.keys()] == nodes
        again = await started()
        assert len([*again.iserver.aspace.keys()]) < len(nodes) / 10  # the others are in the file
        for node in nodes:
            assert seen(again, node) == seen(made, node), node

    asyncio.run(job())
    kept = [*tmp_path.iterdir()]
    assert len(kept) == 1, "nothing half made is left behind"
    assert kept[0].name.startswith("asyncua-")


def test_where_nothing_can_be_kept_a_server_starts_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOTKEEPER_CACHE", str(tmp_path / "file"))
    server = asyncio.run(started())
    assert len([*server.iserver.aspace.keys()]) > 5_000
