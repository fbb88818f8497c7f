"""A buffer folder, or one file of it, as one file of signed frames, which ``lotkeeper-central import`` takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agent.outbox.exporting import Owner, owner, runs
from records.clock import Clock, iso_z
from records.errors import ConfigurationError, Damaged, Refused, Unreachable
from records.exported import ExportHeader, write_export
from records.files import sync_folder
from records.foreign import of_path
from records.keys import Identity
from records.wire import DAMAGED, Envelope, Head, encode_frame, sign

STREAMS = ("records", "telemetry")
MOST_NAMED = 20
"""So many records whose content is lost are named; all are counted."""
FRAME_RECORDS = 1000
FRAME_BYTES = 1024 * 1024
"""About so much goes into one frame before it is compressed; a larger record travels alone."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: ``records`` and ``telemetry`` count rows, ``bytes`` the file.

    ``tombstones``: rows without a body; ``lost`` of them are records whose body was damaged on this disk, the
    first of which ``lost_named`` names. ``broken``: why a stream ends early (None: it does not).
    """

    agent: str
    made_at: str
    frames: int
    records: int
    telemetry: int
    tombstones: int
    bytes: int
    broken: str | None
    lost: int
    lost_named: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether everything that was asked for is in the file, with its content."""
        return self.broken is None and not self.lost


class Export:
    """Reads one folder, or one file that a start has set aside. What it writes is signed with ``identity``, so
    what is read must be of that agent.
    """

    def __init__(self, folder: Path, identity: Identity, software: str, *, everything: bool = False) -> None:
        self._folder, self._identity, self._software = folder, identity, software
        self._everything = everything
        self._frames = self._tombstones = 0
        self._rows = dict.fromkeys(STREAMS, 0)
        self._broken: str | None = None
        self._lost: list[str] = []
        self._lost_count = 0

    def write(
        self, out: Path, streams: tuple[str, ...], clock: Clock, progress: Callable[[int], None] = lambda _: None
    ) -> Written:
        """Write ``out``: it appears whole and on disk, or not at all.

        Raises:
            Unreachable: there is no buffer. StorageFailed: it cannot be read, or the file not be written. NoRoom:
            for the file. ConfigurationError: the file exists, its folder does not, or the identity is of another
            agent. Damaged: it is no buffer. Refused: the file may not be made there.
        """
        if out.exists():
            raise ConfigurationError(f"{out} exists", hint="name another file with --out")
        if not out.absolute().parent.is_dir():
            raise ConfigurationError(
                f"{out} cannot be: there is no folder {out.absolute().parent}", hint="name a file with --out"
            )
        now_us, key = clock.now_us(), self._identity.signing
        found = [(path, self._owned(path, now_us)) for path in self._paths(streams)]
        heads = tuple(
            sign(Head(one.agent, one.head.epoch, one.stream, one.head.seq, one.head.hash.hex(), one.at_us), key)
            for _, one in found
        )
        made_at = iso_z(now_us) or ""
        header = ExportHeader(
            agent=self._identity.file.agent,
            made_at=made_at,
            software=self._software,
            heads=tuple(head.decode() for head in heads),
        )
        fresh = out.with_name(out.name + ".new")
        try:
            with fresh.open("wb") as file:
                size = write_export(file, header, self._all(found, progress))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(out)
            sync_folder(out.absolute().parent)
        except PermissionError as error:
            raise Refused(f"{out} may not be written: {error.strerror}", hint="name a file with --out") from error
        except OSError as error:
            raise of_path(error, f"cannot write {out}: {error}", hint="check rights and free space") from error
        finally:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
        counts = self._rows["records"], self._rows["telemetry"], self._tombstones
        lost = self._lost_count, tuple(self._lost)
        return Written(header.agent, made_at, self._frames, *counts, size, self._broken, *lost)

    def _paths(self, streams: tuple[str, ...]) -> list[Path]:
        if self._folder.is_file():
            return [self._folder]
        paths = [self._folder / f"{stream}.db" for stream in streams]
        if not paths[0].exists():
            raise Unreachable(f"there is no buffer {paths[0]}", hint="name the folder that holds records.db")
        return [path for path in paths if path.exists()]

    def _owned(self, path: Path, now_us: int) -> Owner:
        found, agent = owner(path, now_us), self._identity.file.agent
        stream = found.stream if path == self._folder else path.stem
        if (found.agent, found.stream) != (agent, stream):
            raise ConfigurationError(
                f"{path} holds {found.stream} of {found.agent}, the identity is of {agent}",
                hint="give the identity folder of the same agent with --identity",
            )
        return found

    def _all(self, found: list[tuple[Path, Owner]], progress: Callable[[int], None]) -> Iterator[bytes]:
        for path, one in found:
            try:
                for run in runs(path, FRAME_RECORDS, FRAME_BYTES, everything=self._everything):
                    yield encode_frame(run.envelopes, run.previous, self._identity.signing)
                    self._frames += 1
                    self._rows[one.stream] += len(run.envelopes)
                    self._count_graves(run.envelopes)
                    progress(sum(self._rows.values()))
            except Damaged as error:  # what stands before is worth having, and the other stream too
                self._broken = self._broken or str(error)

    def _count_graves(self, envelopes: Sequence[Envelope]) -> None:
        for row in envelopes:
            self._tombstones += row.body is None
            if row.tombstone is not None and row.tombstone.reason == DAMAGED:
                self._lost_count += 1
                if len(self._lost) < MOST_NAMED:
                    self._lost.append(f"{row.epoch}/{row.stream}/{row.seq}")
