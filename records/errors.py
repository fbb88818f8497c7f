"""The tree of errors that reach a person.

LotkeeperError
  ConfigurationError   a file or option is wrong; carries every problem with its place  (exit code 2)
  Unreachable          a device, broker, central or ERP did not answer                  (exit code 3)
  Lacking              this process may have no more memory, files or threads           (exit code 3)
  Refused              the other side answered and said no (password, rights, state)    (exit code 3)
    NotStored          our own store takes nothing now: nothing of it was stored
      NoRoom           a full disk, or a file at its cap                                (exit code 74)
      Busy             a disk that is too slow for all the writes that wait             (exit code 74)
      Unfit            a database server that keeps no commits, or only lets read       (exit code 3)
  Invalid              data from outside that cannot be taken (scan, payload, register) (exit code 1)
    Unknown            what was named is not there                                      (exit code 2)
  Damaged              a stored chain, file or signature does not verify                (exit code 1)
  StorageFailed        the disk did not keep what it was told; the process must stop    (exit code 74)

A message says what happened, to which device or record, and what to do. Nothing below the command line and
the HTTP edge catches these only to log them. ``kind`` is the word for programs: in the answers of ``--json``, and
between a command and the central that it asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from pydantic import JsonValue

from records.trouble import Trouble


class LotkeeperError(Exception):
    """What happened, to which device or record; ``hint`` says what to do. Of no kind: a fault of Lotkeeper.

    ``trouble``: the same for any language, where it is told so.
    """

    kind: ClassVar[str] = "fault"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.trouble: Trouble | None = None

    @classmethod
    def of(cls, trouble: Trouble) -> Self:
        """What a trouble is in English, its hint included."""
        error = cls(str(trouble), hint=None if trouble.hint is None else str(trouble.hint))
        error.trouble = trouble
        return error

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} ({self.hint})"

    def to_json(self) -> dict[str, JsonValue]:
        """The error for programs."""
        return {"code": self.kind, "message": self.message, "hint": self.hint}


def trouble_of(error: LotkeeperError) -> Trouble:
    """The error for any language; where it has none, as it was said."""
    return error.trouble or Trouble.of("as-said", said=str(error))


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of a configuration file; line and col count from 1. ``trouble``: message and hint for any
    language.
    """

    file: str
    line: int
    col: int
    path: str
    message: str
    hint: str | None = None
    trouble: Trouble | None = field(default=None, compare=False)

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.col}: {self.path}: {self.message}"
        return text if self.hint is None else f"{text} ({self.hint})"

    def to_json(self) -> dict[str, JsonValue]:
        """The object that ``check --json`` prints."""
        names = ("file", "line", "col", "path", "message", "hint")
        return {name: getattr(self, name) for name in names}

    @property
    def told(self) -> Trouble:
        """The whole of it for any language; what is not known in another is quoted."""
        said = self.message if self.hint is None else f"{self.message} ({self.hint})"
        why = self.trouble or Trouble.of("as-said", said=said)
        return Trouble.of("at-place", file=self.file, line=self.line, col=self.col, path=self.path, why=why)


class ConfigurationError(LotkeeperError):
    """Every problem of one configuration at once."""

    kind = "configuration"
    exit_code = 2

    def __init__(self, message: str, problems: tuple[Problem, ...] = (), *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems

    def __str__(self) -> str:
        if not self.problems:
            return super().__str__()
        return "\n".join(str(problem) for problem in self.problems)

    def to_json(self) -> dict[str, JsonValue]:
        """With every problem and its place, where it is of a file."""
        problems: list[JsonValue] = [problem.to_json() for problem in self.problems]
        return super().to_json() | ({"problems": problems} if problems else {})


class Unreachable(LotkeeperError):
    kind = "unreachable"
    exit_code = 3


class Lacking(LotkeeperError):
    kind = "lacking"
    exit_code = 3


class Refused(LotkeeperError):
    kind = "refused"
    exit_code = 3


class NotStored(Refused):
    """Our own store takes nothing now: nothing of it was stored, and the next try may be. Nobody's "no".

    What its kinds have in common, to be caught: never raised itself.
    """


class NoRoom(NotStored):
    """A full disk or a file at its cap: nothing of it was stored, and the next try may find room.

    Whoever waits for room catches ``Refused``; a process or command that ends by it ends as by any failing disk.
    """

    kind = "no-room"
    exit_code = 74


class Busy(NotStored):
    """Too many writes wait already: nothing of this one was stored, and the next try may find fewer.

    The disk is slow or hangs and has not failed; whoever waits for room waits for it, too.
    """

    kind = "busy"
    exit_code = 74


class Unfit(NotStored):
    """A database server that works and does not keep what it commits, or only lets read: nothing of it was stored,
    and the next try may find it mended.
    """

    kind = "unfit"


class Invalid(LotkeeperError):
    kind = "invalid"


class Unknown(Invalid):
    """A file, lot, agent, tag or the like that was named: mistyped, or it has not come yet."""

    kind = "unknown"
    exit_code = 2


class Damaged(LotkeeperError):
    kind = "damaged"


class StorageFailed(LotkeeperError):
    """fsync, write or commit failed: whoever holds the handle must stop, a restart recovers."""

    kind = "storage-failed"
    exit_code = 74


KINDS: tuple[type[LotkeeperError], ...] = (
    LotkeeperError,
    ConfigurationError,
    Unreachable,
    Lacking,
    Refused,
    NoRoom,
    Busy,
    Unfit,
    Invalid,
    Unknown,
    Damaged,
    StorageFailed,
)


def from_json(told: Mapping[str, JsonValue]) -> LotkeeperError:
    """An error of which another process told; one of a kind that is not known here is a fault."""
    kind = next((each for each in KINDS if each.kind == told["code"]), LotkeeperError)
    hint = told["hint"]
    return kind(str(told["message"]), hint=None if hint is None else str(hint))
