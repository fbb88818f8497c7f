"""The configuration as evidence: the bytes behind the hash that records name, and what they were taken to mean."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """One file of a configuration: name, SHA-256 of its bytes (hexadecimal), and the bytes as UTF-8 text."""

    name: str
    digest: str
    text: str


@dataclass(frozen=True, slots=True)
class ConfigurationRecord:
    """What an agent works by; committed before the first record whose header names ``hash``.

    ``files``: the line file first, then what it extends. ``resolved``: the model that the software made of them,
    with every default; None when it is too large for a record (files and software make it again). Secrets are
    references there as in the files. ``approval``: ``not-required`` (the agent is not enrolled as production),
    ``approved`` or ``missing``, as the agent knew it when it wrote this.
    """

    hash: str
    files: tuple[ConfigurationFile, ...]
    resolved: JsonValue
    software: str
    approval: str = "not-required"
