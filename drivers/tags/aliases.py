"""Words of Telegraf, ThingsBoard, Neuron, benthos-umh, EdgeX, Home Assistant and OIBus, and ours for them.

Only what means the same everywhere is taken. A word whose value is counted in another way brings its conversion; a
value that cannot be said in our words is an error with its place, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from records.yaml import Alias

Scalar = str | int | float | bool


def _one(ours: str, convert: Callable[[Scalar], Scalar | None]) -> Alias:
    """An alias with one key of ours and a conversion of its value."""

    def values(value: Scalar) -> Mapping[str, Scalar] | None:
        found = convert(value)
        return None if found is None else {ours: found}

    return Alias((ours,), values)


def _word(ours: str, words: Mapping[str, Scalar]) -> Alias:
    """An alias whose values are words; case does not matter."""
    return _one(ours, lambda value: words.get(str(value).lower()))


def _flag(ours: str, value: str) -> Alias:
    """An alias that is true or false; false says what is so anyway."""

    def values(said: Scalar) -> Mapping[str, Scalar] | None:
        return {True: {ours: value}, False: {}}[said] if isinstance(said, bool) else None

    return Alias((ours,), values)


_TYPES = {
    "bit": "bool",
    "boolean": "bool",
    "float": "float32",
    "double": "float64",
    "real": "float32",
    "lreal": "float64",
    "float32-ieee": "float32",
    "float64-ieee": "float64",
    "float16-ieee": "float16",
    **{f"{bits}int": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"{bits}uint": f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{f"{bits}float": f"float{bits}" for bits in (16, 32, 64)},
}
_ALREADY = r"u?int(8|16|32|64)|float(16|32|64)|bool|string|bcd(16|32|64)"


def _type(value: Scalar) -> str:
    word = str(value).lower()
    return word if re.fullmatch(_ALREADY, word) else _TYPES.get(word, str(value))


_REGISTERS = {
    "holding": "holding",
    "holding_register": "holding",
    "holding_registers": "holding",
    "input": "input",
    "input_register": "input",
    "input_registers": "input",
    "coil": "coil",
    "coils": "coil",
    "discrete": "discrete",
    "discrete_input": "discrete",
    "discrete_inputs": "discrete",
    "discretes_input": "discrete",
}
_FUNCTIONS: Mapping[str, Scalar] = {"1": "coil", "2": "discrete", "3": "holding", "4": "input"}
_MODES: Mapping[str, Scalar] = {
    "tcp": "modbus_tcp",
    "rtuovertcp": "modbus_rtu_over_tcp",
    "rtu": "modbus_rtu",
    "ascii": "modbus_ascii",
}
_SWAPS: Mapping[str, Scalar] = {"none": "ABCD", "byte": "BADC", "word": "CDAB", "word_byte": "DCBA"}


def _inverse(value: Scalar) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
        return None
    return 1 / value


def _controller(value: Scalar) -> Mapping[str, Scalar] | None:
    """Telegraf's and benthos-umh's ``tcp://HOST:PORT`` or ``file:///dev/ttyUSB0``."""
    serial = re.fullmatch(r"(?:file://)?(/[^\s]+|COM[0-9]+)", str(value))
    if serial is not None:
        return {"port": serial[1]}
    found = re.fullmatch(r"tcp://(\[[0-9a-fA-F:]+\]|[^:/\s]+)(?::([0-9]{1,5}))?/?", str(value))
    if found is None:
        return None
    return {"host": found[1].strip("[]"), "port": int(found[2] or 502)}


def _spaced(seconds_per_unit: float) -> Callable[[Scalar], str | None]:
    """A bare number of another unit as a duration."""

    def convert(value: Scalar) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
            return None
        return (
            f"{round(value * seconds_per_unit * 1000, 6):g}ms"
            if value * seconds_per_unit < 1
            else f"{round(value * seconds_per_unit, 6):g}s"
        )

    return convert


ALIASES: Mapping[str, str | Alias] = MappingProxyType(
    {
        # which unit
        "slave_id": "unit_id",
        "slave": "unit_id",
        "slaveId": "unit_id",
        "unitId": "unit_id",
        "UnitID": "unit_id",
        "device_id": "unit_id",
        "device_address": "unit_id",
        # where
        "transmission_mode": _word("driver", _MODES),
        "controller": Alias(("host", "port"), _controller),
        "Address": "host",
        "Port": "port",
        "id": "node_id",
        "nodeId": "node_id",
        "NodeId": "node_id",
        "identifer": "identifier",
        "input_type": _word("register", _REGISTERS),
        "primaryTable": _word("register", _REGISTERS),
        "functionCode": _word("register", _FUNCTIONS),
        "startingAddress": "address",
        # what
        "type": _one("data_type", _type),
        "dataType": _one("data_type", _type),
        "rawType": _one("data_type", _type),
        "valueType": _one("data_type", _type),
        "count": "length",
        "objectsCount": "length",
        "stringRegisterSize": "length",
        "byteOrder": "byte_order",
        "swap": _word("byte_order", _SWAPS),
        "isByteSwap": _flag("byte_order", "BADC"),
        "isWordSwap": _flag("byte_order", "CDAB"),
        # how much
        "multiplier": "scale",
        "divider": _one("scale", _inverse),
        "decimal": "scale",
        "bias": "offset",
        "unit_of_measurement": "unit",
        # how often
        "interval": "poll_interval",
        "scan_interval": _one(
            "poll_interval", lambda value: value if isinstance(value, str) else _spaced(1)(value)
        ),
        "pollPeriod": _one("poll_interval", _spaced(0.001)),
        "pollInterval": "poll_interval",
        "samplingInterval": "sampling_interval",
        "queueSize": "queue_size",
        "onChange": "on_change",
        "timeBetweenReads": "poll_interval",
        # the line
        "baud": "baudrate",
        "baud_rate": "baudrate",
        "data_bits": "bytesize",
        "stop_bits": "stopbits",
        # security
        "security_policy": "security.policy",
        "securityPolicy": "security.policy",
        "security_mode": "security.mode",
        "securityMode": "security.mode",
        "serverCertificateFingerprint": "security.server_fingerprint",
        "username": "security.auth.username",
        "password": "security.auth.password",
    }
)
"""Used only where our word is a key and theirs is none."""
