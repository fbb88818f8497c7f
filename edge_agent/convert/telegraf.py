"""A Telegraf configuration (TOML), as far as it reads machines."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from edge_agent.convert.draft import Draft, Notes, Table
from edge_agent.convert.telegraf_modbus import read_modbus
from edge_agent.convert.telegraf_opcua import read_opcua
from edge_agent.convert.telegraf_values import duration, seconds
from edge_agent.convert.toml_places import places
from records.errors import ConfigurationError, Problem

INPUTS = ("modbus", "opcua", "opcua_listener")


def read_telegraf(text: str, file: str, notes: Notes) -> Draft:
    """Devices and tags of the inputs that we know.

    Raises:
        ConfigurationError: the text is no TOML.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line ([0-9]+), column ([0-9]+)", str(error))
        line, col = (int(place[1]), int(place[2])) if place else (text.count("\n") + 1, 1)
        message = f"this is no valid TOML: {str(error).partition(' (at ')[0]}"
        hint = "Telegraf puts environment variables in first: write their values"
        problem = Problem(file, line, col, "(file)", message, hint if "$" in text else None)
        raise ConfigurationError(str(problem), (problem,)) from None
    root = Table(data, (), places(text))
    draft = Draft()
    agent = root.table("agent")
    interval = seconds(agent.take("interval")) if "interval" in agent else None
    shown = duration(interval) if interval else None
    inputs = root.table("inputs")
    if shown is None and any(kind in inputs for kind in INPUTS):
        message = "is not in this file: where an input has none of its own, poll_interval is our default of 200ms"
        notes.add(1, "agent.interval", message)
    for kind in INPUTS:
        for table in inputs.tables(kind):
            if kind == "modbus":
                read_modbus(table, draft, notes, shown)
            else:
                read_opcua(table, draft, notes, shown, listener=kind == "opcua_listener")
    agent.drop_rest(notes, {})
    inputs.drop_rest(notes, dict.fromkeys(inputs.rest(), "is no machine that is read here: left out"))
    root.drop_rest(notes, dict.fromkeys(root.rest(), "has no place in a line file: left out"))
    _environment(data, root, notes)
    return draft


def _environment(data: Any, root: Table, notes: Notes) -> None:
    """Variables of the environment that Telegraf would have put in, and we do not."""

    def walk(value: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                walk(each, (*path, key))
        elif isinstance(value, list):
            for row, each in enumerate(value):
                walk(each, (*path, row))
        elif isinstance(value, str) and re.search(r"\$\{?[A-Za-z_]", value) and path[-1] != "password":
            setting = ".".join(str(part) for part in path if isinstance(part, str))
            notes.add(root.at(path), setting, f"{value!r} names a variable: write its value")

    inputs = data.get("inputs")
    for kind in INPUTS if isinstance(inputs, dict) else ():
        walk(inputs.get(kind), ("inputs", kind))
