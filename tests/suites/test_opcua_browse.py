"""``lotkeeper-edge browse`` over a server that is not ours, and over address spaces that never end."""

from __future__ import annotations

import asyncio
import itertools
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua import uaerrors

from drivers.opcua.browse import Filters, Found, Walk
from drivers.opcua.limits import Limits
from edge_agent import cli
from edge_agent.settings import load_line
from edge_agent.skeleton import Names
from tests.rigs.opcua_server import SECURED, NodeOpcUaServer, ServerSettings
from tests.unit.typing_commands import Said, Type, typing

MANY = 2_500


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command; what it said and how it ended."""
    return typing("lotkeeper-edge", cli.main, monkeypatch, capsys)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeOpcUaServer]:
    found = NodeOpcUaServer(tmp_path_factory.mktemp("many"), replace(SECURED, ticks=MANY))
    yield found
    found.stop()


@pytest.mark.node_opcua
class TestAgainstAServer:
    def browse(self, typed: Type, server: NodeOpcUaServer, *words: str) -> Said:
        return typed("browse", server.url, "--policy", "None", *words)

    def test_all_of_a_large_server_is_a_line_file_that_check_takes(
        self, typed: Type, server: NodeOpcUaServer, tmp_path: Path
    ) -> None:
        said = self.browse(typed, server, "--max-nodes", "30000")
        assert said.code == 0
        rows = said.out.splitlines(keepends=True)
        assert sum("- {name: Tick_" in row for row in rows) == MANY
        line = tmp_path / "line.yaml"
        line.write_text("".join(row for row in rows if "Tick_2" not in row and "Tick_1" not in row))
        tags = {tag.name: tag for tag in load_line(line).value.devices["machine"].tags}
        assert (tags["Pressure"].unit, tags["Pressure"].type_name) == ("bar", "float64")
        assert tags["profile"].type_name == "float64[]"
        assert all(tag.access == "read" for tag in tags.values())
        assert typed("check", str(line)).code == 0
        assert "Line/torque; the server lets it be written\n" in said.out
        assert "# no tag map can name this: - {name: Matrix" in said.out
        assert "STOPPED" not in said.out
        assert server.tell("sessions") == 0

    def test_it_stops_at_the_limit_and_says_so(self, typed: Type, server: NodeOpcUaServer) -> None:
        said = self.browse(typed, server, "--max-nodes", "100")
        assert "# STOPPED at 100 nodes" in said.out
        assert "stopped at 100 nodes, there is more" in said.err
        assert said.out.count("- {name: ") < 100

    def test_filters(self, typed: Type, server: NodeOpcUaServer) -> None:
        def names(*words: str) -> list[str]:
            found = self.browse(typed, server, "--max-nodes", "300", "--json", *words)
            return [tag["name"] for tag in found.json["tags"]]

        assert names("--match", "line/tor*") == ["torque"]
        assert names("--match", "Line/[ac]*k") == ["ack"]
        assert set(names("--types", "float64", "--match", "Line/[!S]*")) == {"torque", "Pressure"}
        assert names("--namespace", "urn:none") == []
        assert "torque" in names("--namespace", "urn:test", "--writable")
        assert names("--root", "i=2253", "--match", "*/CurrentTime", "--depth", "2") == ["CurrentTime"]
        assert "is no data type here" in self.browse(typed, server, "--types", "float65").err

    def test_over_a_secure_channel_with_a_login(
        self, typed: Type, server: NodeOpcUaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLC_PASSWORD", "secret-1")
        typed("certificate", "create", str(tmp_path / "own"), "--agent", "engineer")
        words = ["--policy", "Basic256Sha256", "--user", "line", "--password-env", "PLC_PASSWORD"]
        words += ["--certificate", str(tmp_path / "own"), "--match", "*/torque", "--max-nodes", "50"]
        said = typed("browse", server.url, *words, "--fingerprint", server.own.fingerprint)
        assert said.code == 0
        assert "secret-1" not in said.out + said.err
        line = tmp_path / "line.yaml"
        line.write_text(said.out)
        machine: Any = load_line(line).value.devices["machine"]
        assert machine.security.server_fingerprint == server.own.fingerprint
        assert machine.security.auth.password.reference == "env:PLC_PASSWORD"
        assert [tag.name for tag in machine.tags] == ["torque"]

    def test_too_little_said_is_answered_with_what_the_server_offers(
        self, typed: Type, server: NodeOpcUaServer
    ) -> None:
        for words in ([], ["--policy", "Basic256Sha256"]):
            said = typed("browse", server.url, *words)
            assert (said.code, said.out) == (3, "")
            assert "Basic256Sha256 SignAndEncrypt" in said.err
            assert f"--fingerprint {server.own.fingerprint}" in said.err

    def test_without_a_certificate_or_password_it_says_where_they_would_be(
        self, typed: Type, server: NodeOpcUaServer, tmp_path: Path
    ) -> None:
        words = ["--policy", "Basic256Sha256", "--fingerprint", server.own.fingerprint]
        words += ["--certificate", str(tmp_path / "own")]
        said = typed("browse", server.url, *words)
        assert (said.code, said.out) == (2, "")
        assert f"make it with: lotkeeper-edge certificate create {tmp_path / 'own'} --agent NAME" in said.err
        said = self.browse(typed, server, "--user", "line", "--password-env", "LOTKEEPER_NO_SUCH")
        assert (said.code, said.out) == (2, "")
        assert "LOTKEEPER_NO_SUCH is empty or missing" in said.err

    def test_a_server_without_any_security_is_browsed_and_that_is_said(
        self, typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLC_PASSWORD", "secret-1")
        bare = NodeOpcUaServer(tmp_path / "bare", ServerSettings())
        try:
            said = typed("browse", bare.url, "--match", "*/torque")
            assert said.code == 0
            assert "offers no security: browsed without" in said.err
            assert "security: {policy: None, allow_insecure: true}" in said.out
            assert "- {name: torque," in said.out
            said = typed("browse", bare.url, "--user", "line", "--password-env", "PLC_PASSWORD")
            assert (said.code, said.out) == (3, "")
            said = typed("browse", bare.url, "--policy", "Basic256Sha256")
            assert (said.code, said.out) == (3, "")
        finally:
            bare.stop()

    def test_what_was_typed_wrong_is_said(self, typed: Type, server: NodeOpcUaServer) -> None:
        for words, code, said in (
            (["--root", "ns=1;s=none"], 3, "has no node ns=1;s=none to begin at (BadNodeIdUnknown)"),
            (["--root", "Objects"], 2, "'Objects' is no node id (for example i=85"),
            (["--user", "line"], 2, "--user and --password-env go together"),
            (["--fingerprint", "12"], 2, "'12' is no SHA-256 fingerprint"),
        ):
            answer = self.browse(typed, server, *words)
            assert answer.code == code, words
            assert said in answer.err
        assert "is no OPC UA endpoint" in typed("browse", "10.0.0.5:4840").err

    def test_a_server_that_is_not_there(self, typed: Type) -> None:
        said = typed("browse", "opc.tcp://127.0.0.1:9/")
        assert said.code == 3
        assert "nothing listens there" in said.err


# -- spaces that no server holds -------------------------------------------------------------------------------


class Endless:
    """Stands for asyncua's session: every folder holds ``width`` variables, the root's folder and two new ones.

    Pages of 50, and not more than one continuation at a time, as small servers have it.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.open: dict[bytes, Iterator[ua.ReferenceDescription]] = {}
        self.most_asked = 0
        self._points = itertools.count()

    def _references(self, node: ua.NodeId) -> Iterator[ua.ReferenceDescription]:
        name = str(node.Identifier)
        if name.startswith("v"):
            return
        yield self._reference("f", ua.NodeClass.Object)  # back to the beginning
        yield self._reference(name, ua.NodeClass.Object)  # and to itself
        for n in range(self.width):
            yield self._reference(f"v{name}.{n}", ua.NodeClass.Variable)
        for n in range(2):
            yield self._reference(f"{name}{n}", ua.NodeClass.Object)

    def _reference(self, name: str, kind: ua.NodeClass) -> ua.ReferenceDescription:
        found = ua.ReferenceDescription()
        found.NodeId, found.BrowseName = ua.ExpandedNodeId(name, 1), ua.QualifiedName(name, 1)
        found.NodeClass, found.ReferenceTypeId = kind, ua.NodeId(ua.Int32(35))
        return found

    async def browse(self, parameters: ua.BrowseParameters) -> list[ua.BrowseResult]:
        self.most_asked = max(self.most_asked, len(parameters.NodesToBrowse))
        return [self._page(self._references(wanted.NodeId)) for wanted in parameters.NodesToBrowse]

    def _page(self, left: Iterator[ua.ReferenceDescription]) -> ua.BrowseResult:
        result = ua.BrowseResult()
        result.References = list(itertools.islice(left, 50))
        if len(result.References) == 50:
            if self.open:
                result.StatusCode, result.References = ua.StatusCode(uaerrors.BadNoContinuationPoints.code), []
                return result
            result.ContinuationPoint = b"%d" % next(self._points)
            self.open[result.ContinuationPoint] = left
        return result

    async def browse_next(self, parameters: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        left = [self.open.pop(point) for point in parameters.ContinuationPoints]
        return [ua.BrowseResult() if parameters.ReleaseContinuationPoints else self._page(each) for each in left]

    async def read(self, parameters: ua.ReadParameters) -> list[ua.DataValue]:
        values = {
            ua.AttributeIds.DataType: ua.Variant(ua.NodeId(ua.Int32(11))),
            ua.AttributeIds.ValueRank: ua.Variant(-1, ua.VariantType.Int32),
            ua.AttributeIds.UserAccessLevel: ua.Variant(1, ua.VariantType.Byte),
        }
        return [ua.DataValue(values[wanted.AttributeId]) for wanted in parameters.NodesToRead]

    async def translate_browsepaths_to_nodeids(self, paths: list[Any]) -> list[ua.BrowsePathResult]:
        return [ua.BrowsePathResult(StatusCode=ua.StatusCode(uaerrors.BadNoMatch.code)) for _ in paths]


def _walk(space: Endless, filters: Filters) -> Walk:
    session = SimpleNamespace(
        namespaces=("http://opcfoundation.org/UA/", "urn:endless"),
        limits=Limits(nodes_per_browse=7),
        client=SimpleNamespace(uaclient=SimpleNamespace(session=space)),
        call=_awaited,
    )
    found: Any = session
    return Walk(found, filters)


async def _awaited(request: Any) -> Any:
    return await request


def test_circles_do_not_trap_and_each_variable_comes_once() -> None:
    async def job() -> None:
        space = Endless(width=120)
        walk = _walk(space, Filters(root="ns=1;s=f", depth=4))
        found = [each async for each in walk.variables()]
        assert len(found) == 120 * (1 + 2 + 4 + 8)
        assert len({each.identifier for each in found}) == len(found)
        assert found[0] == Found(("vf.0",), "urn:endless", 1, "s=vf.0", "float64", None, False)
        assert not walk.progress.stopped
        assert walk.progress.unread == 0
        assert space.most_asked <= 7
        assert space.open == {}

    asyncio.run(job())


def test_a_space_without_end_is_walked_in_bounded_memory() -> None:
    async def job(max_nodes: int) -> int:
        walk = _walk(Endless(width=200), Filters(root="ns=1;s=f", depth=90, max_nodes=max_nodes))
        tracemalloc.start()
        async for _ in walk.variables():
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert walk.progress.stopped
        assert walk.progress.nodes == max_nodes
        return peak

    asyncio.run(job(100))  # whatever is made once
    assert asyncio.run(job(5_000)) < 5_000 * 500  # bytes: the ids that were seen, and no more


def test_names_are_valid_and_never_twice() -> None:
    names = Names()
    assert names.of(("Line", "Torque")) == "Torque"
    assert names.of(("Press", "torque")) == "Press_torque"
    assert names.of(("Press", "torque")) == "Press_torque_2"
    assert names.of(("温度",)) == "tag"
    assert names.of(("3 bar/°C",)) == "tag_3_bar_C"
    assert len(names.of(("x" * 80,))) == 63
    assert json.dumps(names.of(("x" * 80,))) == f'"{"x" * 55}_2"'


class Ranked(Endless):
    """Four variables whose rank leaves open what they hold, and what they hold now."""

    held = (ua.Variant([1.5, 2.5], ua.VariantType.Double), ua.Variant(1.5, ua.VariantType.Double))
    held += (ua.Variant([[1.0], [2.0]], ua.VariantType.Double, Dimensions=[2, 1]), ua.Variant())

    async def read(self, parameters: ua.ReadParameters) -> list[ua.DataValue]:
        asked = parameters.NodesToRead
        if asked[0].AttributeId == ua.AttributeIds.ValueRank:
            return [ua.DataValue(ua.Variant(rank, ua.VariantType.Int32)) for rank in (0, -2, 0, -3)]
        if asked[0].AttributeId == ua.AttributeIds.Value:
            return [ua.DataValue(value) for value in self.held]
        return await super().read(parameters)


def test_where_the_rank_leaves_it_open_the_value_tells_what_it_is() -> None:
    async def job() -> None:
        walk = _walk(Ranked(width=4), Filters(root="ns=1;s=f", depth=1))
        assert [each.data_type async for each in walk.variables()] == ["float64[]", "float64", "", ""]

    asyncio.run(job())
