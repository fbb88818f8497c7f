"""Telegraf's ``inputs.modbus`` in its three styles (register, request, metric), as devices and tags of ours.

Every unit (``slave_id``) becomes a device of its own; units behind one gateway share its line by themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from drivers.tags.modbus import REGISTER_COUNT
from edge_agent.convert.draft import Device, Draft, Notes, Row, Table
from edge_agent.convert.telegraf_values import byte_order, data_type, duration, seconds

_TABLES = {
    "holding_registers": "holding",
    "input_registers": "input",
    "coils": "coil",
    "discrete_inputs": "discrete",
}
_PARITY = {"N": "none", "E": "even", "O": "odd"}
_WHY = {
    "busy_retries": "a machine that says that it is busy is read again at the next interval: left out",
    "busy_retries_wait": "see busy_retries: left out",
    "debug_connection": "the log has levels of its own: left out",
    "log_level": "the log has levels of its own: left out",
    "optimization": "requests are planned from the addresses (max_gap): left out",
    "measurement": "values have no measurement here, only DEVICE.TAG: left out",
    "tags": "values have no tags like these here, only DEVICE.TAG: left out",
    "output": "the type follows from data_type and scale: left out",
    "read_coils_starting_at_zero": "every request begins at its first tag: left out; test the coils",
    "max_bit_registers_per_request": "coils are read by what the tags need: left out",
    "close_connection_after_gather": "the connection stays open: left out; test a machine that allows only one",
}


def read_modbus(table: Table, draft: Draft, notes: Notes, interval: str | None) -> None:
    """Bring one ``[[inputs.modbus]]`` over."""
    source = _Modbus(table, draft, notes, interval)
    source.read()


@dataclass(slots=True)
class _Modbus:
    table: Table
    draft: Draft
    notes: Notes
    interval: str | None

    def read(self) -> None:
        table = self.table
        name = table.text("name") or "modbus"
        line = self._line()
        if line is None:
            return
        shared = {**line, **self._shared()}
        strings = self._workarounds(shared)
        style = table.text("configuration_type") or "register"
        if style == "register":
            device = self._device(name, table.take("slave_id", 0), shared, table)
            for key, register in _TABLES.items():
                for field in table.tables(key):
                    self._register_field(device, register, field, strings)
        elif style in ("request", "metric"):
            unit = table.take("slave_id")
            for part in table.tables(style):
                self._part(name, style, part, unit, shared, strings)
        else:
            self.notes.add(table.line("configuration_type"), "configuration_type", f"{style!r} is no known style")
        for other in {"register": ("request", "metric"), "request": ("metric", *_TABLES)}.get(
            style, ("request", *_TABLES)
        ):
            if other in table:
                table.take(other)
                self.notes.add(
                    table.line(other),
                    f"{table.setting}.{other}",
                    f"is not of the style {style}: Telegraf ignores it too",
                )
        table.drop_rest(self.notes, _WHY)

    def _line(self) -> Row | None:
        """What carries the bytes, None when we can't."""
        table = self.table
        controller, mode = table.text("controller"), table.text("transmission_mode") or "auto"
        serial = {key: table.take(key) for key in ("baud_rate", "data_bits", "parity", "stop_bits")}
        tcp = re.fullmatch(r"tcp://(\[.+\]|[^:/]+):([0-9]+)/?", controller)
        if tcp is not None and mode in ("auto", "TCP", "RTUoverTCP"):
            driver = "modbus_rtu_over_tcp" if mode == "RTUoverTCP" else "modbus_tcp"
            return {"driver": driver, "host": tcp[1].strip("[]"), "port": int(tcp[2])}
        port = controller.removeprefix("file://")
        if tcp is None and port and "://" not in port and mode in ("auto", "RTU", "ASCII"):
            return {
                "driver": "modbus_ascii" if mode == "ASCII" else "modbus_rtu",
                "port": port,
                "baudrate": serial["baud_rate"] or 9600,
                "bytesize": serial["data_bits"] or 8,
                "parity": _PARITY.get(str(serial["parity"] or "N"), "none"),
                "stopbits": serial["stop_bits"] or 1,
            }
        key = "transmission_mode" if mode == "ASCIIoverTCP" else "controller"
        what = f"{controller or 'no controller'} with transmission_mode {mode} is not supported here"
        self.notes.add(table.line(key), f"{table.setting}.{key}", f"{what}: the device and its tags are left out")
        return None

    def _shared(self) -> Row:
        table = self.table
        row: Row = {}
        timeout = seconds(table.take("timeout", "1s"))
        if timeout is not None and timeout > 0:
            row["timeout"] = duration(timeout)
        own = seconds(table.take("interval")) if "interval" in table else None
        interval = self.interval if own is None else duration(own)
        if interval is not None:
            row["poll_interval"] = interval
        fill = table.take("optimization_max_register_fill")
        if isinstance(fill, int):
            row["max_gap"] = min(max(fill, 0), 124)
        return row

    def _workarounds(self, row: Row) -> str:
        """Put what we have too into the device's keys; gives where strings stand in their registers."""
        table = self.table.table("workarounds")
        for key in ("pause_after_connect", "pause_between_requests"):
            pause = seconds(table.take(key, "0ms"))
            if pause:
                row[key] = duration(pause)
        if table.take("one_request_per_field", False) is True:
            row["one_request_per_tag"] = True
        words = table.take("max_word_registers_per_request")
        if isinstance(words, int) and 1 <= words < 125:
            row["max_registers_per_request"] = words
        strings = table.text("string_register_location")
        table.drop_rest(self.notes, _WHY)
        return strings if strings in ("lower", "upper") else ""

    def _device(self, name: str, unit: Any, shared: Row, at: Table) -> Device:
        if not isinstance(unit, int) or not 1 <= unit <= 255:
            self.notes.add(
                at.line("slave_id"), f"{at.setting}.slave_id", f"{unit} is no unit to read from: 1 is taken"
            )
            unit = 1
        for device in self.draft.devices:
            if device.setting == name and device.keys.get("unit_id") == unit and device.line == self.table.line():
                return device
        many = any(device.setting == name and device.line == self.table.line() for device in self.draft.devices)
        keys = {**shared, "unit_id": unit}
        return self.draft.device(f"{name}_unit{unit}" if many else name, keys, self.table.line(), name)

    def _part(self, name: str, style: str, part: Table, unit: Any, shared: Row, strings: str) -> None:
        """One ``request`` or ``metric``."""
        device = self._device(name, part.take("slave_id", 1 if unit is None else unit), shared, part)
        order = part.text("byte_order") or "ABCD"
        register = part.text("register") or "holding"
        for field in part.tables("fields"):
            if field.take("omit", False) is True:
                continue  # Telegraf reads it only to fill a hole
            own = field.text("register") or register
            self._field(device, own, field, order, strings)
        part.drop_rest(self.notes, _WHY)

    def _register_field(self, device: Device, register: str, field: Table, strings: str) -> None:
        addresses = field.take("address", [])
        addresses = addresses if isinstance(addresses, list) else [addresses]
        whole = all(isinstance(each, int) for each in addresses) and bool(addresses)
        if not whole or addresses != list(range(addresses[0], addresses[0] + len(addresses))):
            self._skip(device, field, "address", f"{addresses} is no row of addresses")
            return
        kind = field.text("data_type")
        keys: Row = {"register": register, "address": addresses[0]}
        length = len(addresses)
        if kind == "FLOAT32":
            kind = "UFIXED"
            told = "FLOAT32 is Telegraf's old word for UFIXED, an unsigned integer; a float is FLOAT32-IEEE"
            self.notes.add(field.line("data_type"), f"{field.setting} {field.text('name')}", told)
        found = data_type(kind, length)
        if found is not None and REGISTER_COUNT.get(found[0], length) != length:
            self._skip(device, field, "data_type", f"{kind} does not lie in {length} registers")
            return
        self._value(device, field, keys, kind, field.text("byte_order") or "ABCD", length, strings)

    def _field(self, device: Device, register: str, field: Table, order: str, strings: str) -> None:
        address = field.take("address")
        if not isinstance(address, int):
            self._skip(device, field, "address", f"{address} is no address")
            return
        keys: Row = {"register": register, "address": address}
        length = field.take("length", 0)
        self._value(
            device, field, keys, field.text("type"), order, length if isinstance(length, int) else 0, strings
        )

    def _value(
        self, device: Device, field: Table, keys: Row, kind: str, order: str, registers: int, strings: str
    ) -> None:
        """What the registers hold; then the tag is added."""
        if keys["register"] not in _TABLES.values():
            self._skip(device, field, "register", f"{keys['register']} is no register type")
            return
        scale, bit = field.take("scale"), field.take("bit")
        if keys["register"] in ("holding", "input"):
            if kind == "BIT":
                keys["bit"] = bit if isinstance(bit, int) else 0
            else:
                found = data_type(kind, registers)
                if found is None:
                    self._skip(device, field, "type", f"{kind or 'no type'} is not known here")
                    return
                keys.update({"data_type": found[0], **found[1]})
                if found[0] == "string":
                    if strings:
                        self._skip(
                            device, field, "name", f"string_register_location {strings} cannot be read here"
                        )
                        return
                    keys["length"] = registers
            ours = byte_order(order)
            if ours is None:
                self._skip(device, field, "byte_order", f"{order} is no byte order")
                return
            if ours != "ABCD":
                keys["byte_order"] = ours
            if isinstance(scale, int | float) and scale not in (0, 1) and keys.get("data_type") != "string":
                keys["scale"] = scale
        name = field.text("name")
        measurement = field.text("measurement")
        if measurement:
            self.notes.add(field.line("measurement"), f"{field.setting}.measurement", _WHY["measurement"])
        if any(tag.keys["name"] == name for tag in device.tags) and measurement:
            name = f"{measurement}_{name}"
        device.add(name, keys, field.line(), f"{field.setting} {name}", self.notes)
        field.drop_rest(self.notes, _WHY)

    def _skip(self, device: Device, field: Table, key: str, why: str) -> None:
        name = field.text("name") or "(no name)"
        self.notes.add(field.line(key), f"{field.setting} {name}", f"{why}: the tag is left out of {device.name}")
