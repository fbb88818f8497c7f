"""Frames that are committed together: while some are on their way to the disk, the next ones gather.

One transaction costs nearly the same for one frame as for many. So a frame goes to the disk at once when none is
under way, else together with all that came until then.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from central.committing import Checked, Committing, Outcome
from central.store.engine import Store
from central.store.leases import Fenced
from records.errors import StorageFailed

MOST_FRAMES = 64
MOST_BYTES = 512 * 1024
"""Most that one transaction takes along."""
ROWS_TO_BODIES = 3
"""What a frame adds to the database's log, to its bodies: pages of indexes are written whole."""

Found = list[Outcome | None]


class Batch:
    """Frames of one transaction. ``on_done`` is called when it has ended, from any thread."""

    def __init__(self, store: Store, committing: Committing, on_done: Callable[[], None]) -> None:
        self._store, self._committing, self._on_done = store, committing, on_done
        self._frames: list[Checked] = []
        self._bytes = 0
        self._job: Future[Found] | None = None
        self._apart: list[Outcome | Exception | None] | None = None

    def add(self, checked: Checked) -> int:
        """Its place among the frames."""
        self._frames.append(checked)
        self._bytes += sum(len(e.body) for e in checked.frame.envelopes if e.body is not None)
        return len(self._frames) - 1

    @property
    def any(self) -> bool:
        return bool(self._frames)

    @property
    def full(self) -> bool:
        return len(self._frames) >= MOST_FRAMES or self._bytes >= MOST_BYTES

    @property
    def sent(self) -> bool:
        return self._job is not None

    @property
    def done(self) -> bool:
        return self._job is not None and self._job.done()

    def send(self) -> Future[Found]:
        """To the disk; once."""
        if self._job is None:
            job = partial(self._committing.commit, frames=self._frames)
            self._job = self._store.submit(job, self._bytes * ROWS_TO_BODIES)
            self._job.add_done_callback(lambda _: self._on_done())
        return self._job

    def outcome(self, place: int) -> Outcome | None:
        """What became of a frame, after the commit. One that cannot be committed keeps no other from it."""
        try:
            return self.send().result()[place]
        except (StorageFailed, Fenced):
            raise
        except Exception:
            if len(self._frames) == 1:
                raise
        if self._apart is None:
            self._apart = [self._alone(checked) for checked in self._frames]
        found = self._apart[place]
        if isinstance(found, Exception):
            raise found
        return found

    def _alone(self, checked: Checked) -> Outcome | Exception | None:
        try:
            return self._store.write(partial(self._committing.commit, frames=[checked]))[0]
        except (StorageFailed, Fenced):
            raise
        except Exception as error:
            return error


class Gathering:
    """For one thread."""

    def __init__(self, store: Store, committing: Committing, on_done: Callable[[], None]) -> None:
        self._new: Callable[[], Batch] = partial(Batch, store, committing, on_done)
        self._under_way = self._next = self._new()

    def add(self, checked: Checked) -> tuple[Batch, int]:
        """Where the frame's outcome will be."""
        if self._next.sent:
            self._under_way, self._next = self._next, self._new()
        batch = self._next
        place = batch.add(checked)
        if self._under_way is batch or self._under_way.done or batch.full:
            batch.send()
        return batch, place

    def send(self) -> None:
        """What has gathered goes to the disk now."""
        if self._next.any:
            self._next.send()

    def alone(self, checked: Checked) -> tuple[Batch, int]:
        """The same for a frame that waits for no other; from any thread."""
        batch = self._new()
        return batch, batch.add(checked)
