"""The tree of errors that reach a person.

LotkeeperError
  ConfigurationError   a file or option is wrong; carries every problem with its place  (exit code 2)
  Unreachable          a device, broker, central or ERP did not answer                  (exit code 3)
  Refused              the other side answered and said no (password, rights, state)    (exit code 3)
  Invalid              data from outside that cannot be taken (scan, payload, register) (exit code 1)
  Damaged              a stored chain, file or signature does not verify                (exit code 1)
  StorageFailed        the disk did not keep what it was told; the process must stop    (exit code 74)

A message says what happened, to which device or record, and what to do. Nothing below the command line and
the HTTP edge catches these only to log them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


class LotkeeperError(Exception):
    """What happened, to which device or record; ``hint`` says what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} ({self.hint})"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of a configuration file; line and col count from 1."""

    file: str
    line: int
    col: int
    path: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.col}: {self.path}: {self.message}"
        return text if self.hint is None else f"{text} ({self.hint})"

    def to_json(self) -> dict[str, object]:
        """The object that ``check --json`` prints."""
        return asdict(self)


class ConfigurationError(LotkeeperError):
    """Every problem of one configuration at once."""

    exit_code = 2

    def __init__(self, message: str, problems: tuple[Problem, ...] = (), *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems

    def __str__(self) -> str:
        if not self.problems:
            return super().__str__()
        return "\n".join(str(problem) for problem in self.problems)


class Unreachable(LotkeeperError):
    exit_code = 3


class Refused(LotkeeperError):
    exit_code = 3


class NoRoom(Refused):
    """A full disk or a file at its cap: nothing of it was stored, and the next try may find room.

    Whoever waits for room catches ``Refused``; a process or command that ends by it ends as by any failing disk.
    """

    exit_code = 74


class Invalid(LotkeeperError):
    exit_code = 1


class Damaged(LotkeeperError):
    exit_code = 1


class StorageFailed(LotkeeperError):
    """fsync, write or commit failed: whoever holds the handle must stop, a restart recovers."""

    exit_code = 74
