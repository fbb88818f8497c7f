"""A list of tags as a table: CSV with a head row, as spreadsheets and engineering tools write it.

The columns are our keys, or the words of other tools for them. Columns of a device (``device``, ``driver``,
``host``, ``endpoint``, ...) may stand in every row or only in the first one of a device.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.tags import ALIASES
from edge_agent.convert.draft import Device, Draft, Notes, Row, Value, plain_name
from edge_agent.convert.type_words import Range, our_address, our_type
from records.errors import ConfigurationError, Problem
from records.yaml import Alias, did_you_mean

_DEVICE = {
    "driver": str,
    "host": str,
    "endpoint": str,
    "port": str,
    "unit_id": int,
    "baudrate": int,
    "parity": str,
    "stopbits": int,
    "bytesize": int,
    "address_base": int,
    "address_style": str,
}
_TAG = {
    "name": str,
    "register": str,
    "address": str,
    "data_type": str,
    "byte_order": str,
    "byte": str,
    "bit": int,
    "length": int,
    "scale": float,
    "offset": float,
    "unit": str,
    "role": str,
    "access": str,
    "mode": str,
    "description": str,
    "node_id": str,
    "namespace_uri": str,
    "identifier": str,
    "browse_path": str,
    "array_index": int,
    "field": str,
    "sampling_interval": str,
    "poll_interval": str,
    "stale_after": str,
    "deadband": float,
}
_RANGE = ("scaling", "raw_low", "raw_high", "scaled_low", "scaled_high")
"""Columns that together say scale and offset."""
_ACCESS = {
    "read": ("r", "ro", "read", "readonly", "rd"),
    "write": ("w", "wo", "rw", "wr", "write", "readwrite", "writeonly", "rdwr"),
}
_ALSO = {
    "client_access": "access",
    "eng_units": "unit",
    "engineering_units": "unit",
    "tag": "name",
    "tag_name": "name",
    "tagname": "name",
    "variable": "name",
    "signal": "name",
    "comment": "description",
    "remark": "description",
    "units": "unit",
    "eu": "unit",
    "engineering_unit": "unit",
    "datatype": "data_type",
    "data type": "data_type",
    "register_type": "register",
    "table": "register",
    "factor": "scale",
    "gain": "scale",
    "ip": "host",
    "ip_address": "host",
    "slave_address": "unit_id",
    "名称": "name",
    "变量名": "name",
    "标签": "name",
    "描述": "description",
    "备注": "description",
    "单位": "unit",
    "地址": "address",
    "数据类型": "data_type",
    "类型": "data_type",
    "系数": "scale",
    "偏移": "offset",
    "从站": "unit_id",
    "设备": "device",
}
MAX_ROWS = 50_000


def read_tag_list(content: bytes, file: str, notes: Notes) -> Draft:
    """Devices and tags of the list.

    Raises:
        ConfigurationError: with every wrong cell, by row and column.
    """
    text = _decode(content, notes)
    delimiter = _delimiter(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    problems: list[Problem] = []
    reader: _Rows | None = None
    try:
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if reader is None:
                reader = _Rows(
                    file, _head(cells, rows.line_num, file, notes, problems), delimiter, notes, problems
                )
            else:
                reader.row(cells, rows.line_num)
            if rows.line_num > MAX_ROWS:
                raise csv.Error(f"more than {MAX_ROWS} rows")
    except csv.Error as error:
        problems.append(Problem(file, rows.line_num, 1, "(file)", f"this is no table: {error}"))
    if reader is None or not (reader.draft.devices or problems):
        problems.append(Problem(file, 1, 1, "(file)", "there is no tag: a head row and one row a tag are needed"))
    if problems or reader is None:
        raise ConfigurationError("\n".join(map(str, problems)), tuple(problems))
    return reader.finish()


def _decode(content: bytes, notes: Notes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        notes.add(1, "(file)", "is no UTF-8 text: read as GB 18030; look at the descriptions")
        return content.decode("gb18030", "replace")


def _delimiter(text: str) -> str:
    head = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=head.count)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: our key (empty: nothing of ours), as it is headed, and how a value of another tool is read."""

    key: str
    head: str
    convert: Callable[[str | int | float | bool], Mapping[str, str | int | float | bool] | None] | None = None


def _head(cells: list[str], line: int, file: str, notes: Notes, problems: list[Problem]) -> list[_Column]:
    known = {*_DEVICE, *_TAG, *_RANGE, "device"}
    columns = [_column(cell.strip(), known) for cell in cells]
    for n, column in enumerate(columns, 1):
        if not column.key and column.head:
            hint = did_you_mean(column.head, sorted(known.difference(_RANGE)))
            suggestion = f" ({hint})" if hint and "known here" not in hint else ""
            notes.add(line, column.head, f"column {n} is nothing that a tag has here: left out{suggestion}")
    keys = [column.key for column in columns if column.key]
    for key in {key for key in keys if keys.count(key) > 1}:
        problems.append(Problem(file, line, 1, key, f"two columns say {key}", "leave one out"))
    if "name" not in keys:
        problems.append(Problem(file, line, 1, "name", "no column says the names of the tags", "head one `name`"))
    return columns


def _column(head: str, known: set[str]) -> _Column:
    plain = re.sub(r"[\s-]+", "_", head).lower()
    for word in (head, plain):
        if word in known:
            return _Column(word, head)
        if word in _ALSO:
            return _Column(_ALSO[word], head)
    for word, found in ALIASES.items():
        if word.lower() == plain:
            alias = Alias((found,)) if isinstance(found, str) else found
            if len(alias.ours) == 1 and alias.ours[0] in known:
                return _Column(alias.ours[0], head, alias.convert)
    return _Column("", head)


class _Rows:
    def __init__(
        self, file: str, columns: list[_Column], delimiter: str, notes: Notes, problems: list[Problem]
    ) -> None:
        self.draft = Draft()
        self._file, self._columns, self._notes, self._problems = file, columns, notes, problems
        self._comma = delimiter != ","
        self._named: dict[str, Device] = {}
        self._told: set[str] = set()

    def row(self, cells: list[str], line: int) -> None:
        """One tag."""
        if len(cells) > len(self._columns) and any(cell.strip() for cell in cells[len(self._columns) :]):
            self._wrong(line, len(self._columns) + 1, "(row)", "more cells than the head row has")
        device: Row = {}
        tag: Row = {}
        for n, (column, cell) in enumerate(zip(self._columns, cells, strict=False), 1):
            text = cell.strip()
            if column.key and text:
                value = text if column.key in _RANGE else self._value(column, text, line, n)
                if value is not None:
                    (device if column.key in _DEVICE or column.key == "device" else tag)[column.key] = value
        name = str(tag.pop("name", ""))
        if not name:
            self._wrong(line, 1, "name", "this row has no name")
            return
        prefix, dot, rest = name.partition(".")
        if dot and "device" not in device and plain_name(prefix, "") == prefix and rest:
            device["device"], name = prefix, rest
        where = f"row {line} ({name})"
        if not self._scaled(tag, line, where):
            return
        self._addressed(tag, line, where)
        self._device(device, tag, line).add(name, tag, line, where, self._notes)

    def _scaled(self, tag: Row, line: int, where: str) -> bool:
        """Make the points of a straight line scale and offset; False: its values would be wrong without."""
        how, *points = (str(tag.pop(key, "")) for key in _RANGE)
        linear = how.lower() == "linear" or (not how and all(points))
        if how.lower() in ("", "none") and not linear:
            return True
        found = Range(*points).line() if linear else None
        if found is None:
            said = f"scaling {how or 'linear'} from {' '.join(points) or 'nothing'}"
            self._notes.add(line, where, f"{said} cannot be said here: the tag is left out")
            return False
        tag["scale"], tag["offset"] = found
        return True

    def _addressed(self, tag: Row, line: int, where: str) -> None:
        """What other tools hang on an address is a key of its own here."""
        found, told = our_address(str(tag["address"])) if "address" in tag else ({}, None)
        tag.update(found)
        if "bit" in found:
            tag.pop("data_type", None)
        if told is not None:
            self._notes.add(line, where, told)

    def _access(self, text: str, line: int) -> str | None:
        plain = re.sub(r"[^a-z]", "", text.lower())
        ours = next((ours for ours, words in _ACCESS.items() if plain in words), text)
        if ours == "write" and plain != "write":
            self._notes.add(line, "access", f"{text} is not taken over: access: write is yours to give")
            return None
        return ours

    def _value(self, column: _Column, text: str, line: int, n: int) -> Value:
        if column.key == "data_type":
            found_type, told = our_type(text)
            if told is not None and told not in self._told:
                self._told.add(told)
                self._notes.add(line, "data_type", told)
            return found_type
        if column.key == "access":
            return self._access(text, line)
        if column.convert is not None:
            found = column.convert(_number(text, self._comma))
            if found is None:
                self._wrong(line, n, column.head, f"{text!r} cannot be said as {column.key}")
            return (found or {}).get(column.key)
        kind = {**_DEVICE, **_TAG, "device": str}[column.key]
        if kind is str:
            return text
        value = _number(text, self._comma)
        if isinstance(value, str) or (kind is int and not isinstance(value, int)):
            self._wrong(line, n, column.head, f"{text!r} is no {'whole ' if kind is int else ''}number")
            return None
        return value

    def _wrong(self, line: int, column: int, path: str, message: str) -> None:
        self._problems.append(Problem(self._file, line, column, path, f"{message} (row {line}, column {column})"))

    def _device(self, keys: Row, tag: Row, line: int) -> Device:
        """The device that a row names, or the only one; what it says of it is added."""
        name = str(keys.pop("device", "")) or next(iter(self._named), "device")
        if name not in self._named:
            self._named[name] = self.draft.device(name, {}, line, f"row {line}")
        device = self._named[name]
        for key, value in keys.items():
            if device.keys.setdefault(key, value) != value:
                message = f"{device.name} has {key} {device.keys[key]} already: {value} is left out"
                self._notes.add(line, key, message)
        if {"node_id", "identifier", "browse_path"} & set(tag):
            device.keys.setdefault("driver", "opcua")
        return device

    def finish(self) -> Draft:
        """The devices, with what the list does not say filled in."""
        for device in self.draft.devices:
            self._complete(device)
        return self.draft

    def _complete(self, device: Device) -> None:
        keys = device.keys
        given = dict(keys)
        keys.clear()
        keys["driver"] = given.pop("driver", "modbus_tcp")
        if keys["driver"] == "opcua":
            self._fill(device, given, "endpoint", "opc.tcp://127.0.0.1:4840")
            keys["security"] = {"policy": "Basic256Sha256", "mode": "SignAndEncrypt"}
            told = "the list says nothing of security: Basic256Sha256 is written; lotkeeper-edge browse tells what"
            self._notes.add(device.line, device.name, f"{told} the server offers and its fingerprint")
        elif keys["driver"] in ("modbus_rtu", "modbus_ascii"):
            self._fill(device, given, "port", "/dev/ttyUSB0")
        else:
            self._fill(device, given, "host", "127.0.0.1")
            if str(given.get("port", "")).isdigit():
                given["port"] = int(str(given["port"]))
        keys.update(given)
        if "address_style" not in keys and "address_base" not in keys and _is_modicon(device):
            keys["address_style"] = "modicon"
            message = "the addresses look like 40001: address_style: modicon is written"
            self._notes.add(device.line, device.name, message)
        long = [tag for tag in device.tags if str(tag.keys.get("data_type", ""))[-2:] in ("32", "64")]
        if keys["driver"] != "opcua" and any("byte_order" not in tag.keys for tag in long):
            told = "the list does not say the byte order: ABCD, the high word first, counts; CDAB is as common"
            self._notes.add(device.line, device.name, f"{told} (lotkeeper-edge decode shows all four)")

    def _fill(self, device: Device, given: Row, key: str, value: str) -> None:
        if key in given:
            device.keys[key] = given.pop(key)
        else:
            device.keys[key] = value
            self._notes.add(device.line, device.name, f"the list does not say {key}: fill it in for {value}")


def _is_modicon(device: Device) -> bool:
    """Whether every address begins with the digit of a table: of the one that the list names, if it does."""
    digits = {"coil": "0", "discrete": "1", "input": "3", "holding": "4"}
    fits = [
        re.fullmatch(r"[0134][0-9]{4,5}", address := str(tag.keys.get("address", ""))) is not None
        and digits.get(str(tag.keys.get("register", "")), address[0]) == address[0]
        for tag in device.tags
    ]
    return bool(fits) and all(fits)


def _number(text: str, comma: bool) -> str | int | float:
    """A number if it is one; ``comma``: 0,1 is a number too."""
    plain = text.replace(",", ".") if comma and re.fullmatch(r"-?[0-9]+,[0-9]+", text) else text
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", plain):
        return int(plain)
    if re.fullmatch(r"-?[0-9]{1,17}(\.[0-9]{1,17})?([eE]-?[0-9]{1,2})?", plain):
        return float(plain)
    return text
