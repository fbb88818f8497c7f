"""Telegraf's ``inputs.opcua`` (polled) and ``inputs.opcua_listener`` (subscribed), as devices and tags of ours.

One endpoint is one device here, with one session: what both inputs read from it comes together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edge_agent.convert.draft import Device, Draft, Notes, Row, Table, plain_name
from edge_agent.convert.telegraf_values import duration, seconds

_WHY = {
    "name": "values have no metric name here, only DEVICE.TAG: left out",
    "default_tags": "values have no tags like these here, only DEVICE.TAG: left out",
    "tags": "values have no tags like these here, only DEVICE.TAG: left out",
    "timestamp": "the times of source, server and edge are all kept: left out",
    "timestamp_format": "the times of source, server and edge are all kept: left out",
    "optional_fields": "the data type is read from the server: left out",
    "client_trace": "the log has levels of its own: left out",
    "connect_timeout": "timeout counts for connecting too: left out",
    "connect_fail_behavior": "a server that does not answer is tried again for ever: left out",
    "read_retry_count": "a failed read is a bad reading, and the next follows: left out",
    "read_retry_timeout": "a failed read is a bad reading, and the next follows: left out",
    "reconnect_error_threshold": "the agent decides when to reconnect: left out",
    "events": "events of a server are not read here: left out",
    "browse": "nodes are named here; `lotkeeper-edge browse` lists a server's: left out",
    "discard_oldest": "the oldest value goes when a queue is full, and this is told as a gap: left out",
    "remote_certificate": "put it into the folder of security.trust_list, or give security.server_fingerprint",
    "workarounds": "left out; a status other than good is a reading of that quality",
    "request_workarounds": "left out",
}
_SECURE = "Basic256Sha256"


def read_opcua(table: Table, draft: Draft, notes: Notes, interval: str | None, *, listener: bool) -> None:
    """Bring one ``[[inputs.opcua]]`` or ``[[inputs.opcua_listener]]`` over."""
    _OpcUa(table, draft, notes, interval, listener).read()


@dataclass(slots=True)
class _OpcUa:
    table: Table
    draft: Draft
    notes: Notes
    interval: str | None
    listener: bool

    def read(self) -> None:
        table = self.table
        device = self._device()
        for node in table.tables("nodes"):
            self._node(device, node, None)
        for group in table.tables("group"):
            defaults = {key: group.take(key) for key in ("namespace", "namespace_uri", "identifier_type")}
            defaults |= {"group": group.text("name"), "sampling_interval": group.take("sampling_interval")}
            for node in group.tables("nodes"):
                self._node(device, node, defaults)
            group.drop_rest(self.notes, _WHY)
        table.drop_rest(self.notes, _WHY)

    def _device(self) -> Device:
        table = self.table
        endpoint = table.text("endpoint") or "opc.tcp://localhost:4840"
        keys: Row = {"driver": "opcua", "endpoint": endpoint, "security": self._security()}
        timeout = seconds(table.take("request_timeout"))
        if timeout:
            keys["timeout"] = duration(timeout)
        own = seconds(table.take("interval")) if "interval" in table else None
        interval = self.interval if own is None else duration(own)
        if interval is not None and not self.listener:
            keys["poll_interval"] = interval
        publish = seconds(table.take("subscription_interval"))
        if self.listener and publish:
            keys["publish_interval"] = duration(publish)
        for device in self.draft.devices:
            if device.keys.get("endpoint") == endpoint:
                self._join(device, keys)
                return device
        default = "opcua_listener" if self.listener else "opcua"
        name = table.text("name") or default
        host = re.sub(r"^opc\.tcp://", "", endpoint).partition(":")[0].partition("/")[0]
        named = name if name != default else plain_name(host, "opcua")
        keys.setdefault("timeout", "5s")
        return self.draft.device(named, keys, table.line(), table.setting)

    def _join(self, device: Device, keys: Row) -> None:
        """A second input of one endpoint: what only it says is added, what it says otherwise is told."""
        for key, value in keys.items():
            if key in device.keys and device.keys[key] != value:
                self.notes.add(
                    self.table.line("endpoint"),
                    f"{self.table.setting}.endpoint",
                    f"the endpoint is {device.name} already, whose {key} stays {device.keys[key]}",
                )
            device.keys.setdefault(key, value)

    def _security(self) -> Row:
        table = self.table
        policy, mode = table.text("security_policy") or "auto", table.text("security_mode") or "auto"
        certificate, key = table.text("certificate"), table.text("private_key")
        row: Row
        if "None" in (policy, mode):
            self._note("security_policy", "is without security here too; only for a network that is trusted")
            row = {"policy": "None", "allow_insecure": True}
        else:
            if policy == "auto":
                message = f"`auto` takes what the server offers; here {_SECURE} is named and never left"
                self._note("security_policy", message)
            row = {"policy": _SECURE if policy == "auto" else policy}
            if policy in ("Basic128Rsa15", "Basic256"):
                row["allow_insecure"] = True
                self._note("security_policy", f"{policy} was withdrawn as unsafe: change it on the server")
            if mode != "auto":
                row["mode"] = mode
            if certificate and key:
                row |= {"certificate": certificate, "private_key": key}
        method = table.text("auth_method") or "Anonymous"
        if method == "UserName":
            row["auth"] = {"username": self._plain("username"), "password": self._secret("password")}
        elif method == "Certificate":
            row["auth"] = {"certificate": certificate, "private_key": key}
        elif "username" in table or "password" in table:
            table.take("username")
            table.take("password")
            self._note("username", f"auth_method is {method}: nobody logs in, as in Telegraf")
        return row

    def _note(self, key: str, message: str) -> None:
        self.notes.add(self.table.line(key), f"{self.table.setting}.{key}", message)

    def _plain(self, key: str) -> str:
        value = self.table.text(key)
        if value.startswith("@{") or "$" in value:
            self._note(key, "comes from a secret store or the environment: write the name itself")
            return "FILL-IN"
        return value

    def _secret(self, key: str) -> str:
        value = self.table.text(key)
        environment = re.fullmatch(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?", value)
        if environment is not None:
            return f"env:{environment[1]}"
        self._note(key, "is not copied: set the environment variable OPCUA_PASSWORD, or write file:PATH")
        return "env:OPCUA_PASSWORD"

    def _node(self, device: Device, node: Table, defaults: dict[str, Any] | None) -> None:
        given = defaults or {}
        name = node.text("name") or node.text("identifier") or "node"
        keys = self._address(node, given)
        if keys is None:
            message = f"has no node id that can be read here: the tag is left out of {device.name}"
            self.notes.add(node.line(), f"{node.setting} {name}", message)
            return
        if self.listener:
            keys["mode"] = "subscribe"
            self._monitoring(node.table("monitoring_params"), keys, given)
        if any(tag.keys["name"] == name for tag in device.tags) and given.get("group"):
            name = f"{given['group']}_{name}"
        device.add(name, keys, node.line(), f"{node.setting} {name}", self.notes)
        node.drop_rest(self.notes, _WHY)

    def _address(self, node: Table, given: dict[str, Any]) -> Row | None:
        identity = node.text("id")
        found = re.fullmatch(r"(?:ns=([0-9]+);|nsu=([^;]+);)?([isgb]=.+)", identity)
        space, uri, kind = (
            node.take(key) or given.get(key) for key in ("namespace", "namespace_uri", "identifier_type")
        )
        value = node.take("identifier")
        if identity:
            if found is None:
                return None
            space, uri, text = found[1], found[2], found[3]
        elif value in (None, "") or kind not in ("i", "s", "g", "b"):
            return None
        else:
            text = f"{kind}={value}"
        if uri:
            return {"namespace_uri": str(uri), "identifier": text}
        return {"node_id": f"ns={space or 0};{text}"}

    def _monitoring(self, table: Table, keys: Row, given: dict[str, Any]) -> None:
        sampling = seconds(table.take("sampling_interval") or given.get("sampling_interval") or "0s")
        if sampling:
            keys["sampling_interval"] = duration(sampling)
        size = table.take("queue_size")
        if isinstance(size, int) and size != 10:
            keys["queue_size"] = size
        if table.take("discard_oldest", True) is False:
            self.notes.add(table.line("discard_oldest"), f"{table.setting}.discard_oldest", _WHY["discard_oldest"])
        change = table.table("data_change_filter")
        kind, value = change.text("deadband_type") or "None", change.take("deadband_value", 0.0)
        setting = f"{change.setting}.deadband_type"
        if kind == "Absolute" and isinstance(value, int | float) and value > 0:
            keys["deadband"] = value
            message = "the deadband thins telemetry here, after reading; a record keeps every value"
            self.notes.add(change.line("deadband_type"), setting, message)
        elif kind == "Percent":
            message = "a deadband in percent is not known here: left out; give deadband in the tag's unit"
            self.notes.add(change.line("deadband_type"), setting, message)
        trigger = change.text("trigger")
        if trigger:
            message = "a change of value or status is told here: left out"
            self.notes.add(change.line("trigger"), f"{change.setting}.trigger", message)
        table.drop_rest(self.notes, _WHY)
