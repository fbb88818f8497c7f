"""Where each key of a TOML text stands. ``tomllib`` reads the values; this walks the same text for the lines."""

from __future__ import annotations

from dataclasses import dataclass, field

Path = tuple[str | int, ...]

_BARE_END = frozenset(",]}\n\r#")


def places(text: str) -> dict[Path, int]:
    """The line (from 1) of every key, table and entry of an array. The text must be valid TOML."""
    return _Walk(text.replace("\r\n", "\n")).document()


@dataclass(slots=True)
class _Walk:
    text: str
    at: int = 0
    found: dict[Path, int] = field(default_factory=dict)
    counts: dict[Path, int] = field(default_factory=dict)

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def document(self) -> dict[Path, int]:
        table: Path = ()
        while self.space():
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
        return self.found

    def space(self, *, lines: bool = True) -> bool:
        """Go past blanks, line ends and comments; False at the end of the text."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif char in " \t" or (lines and char in "\r\n"):
                self.at += 1
            else:
                return True
        return False

    def header(self) -> Path:
        line = self.line
        many = self.text.startswith("[[", self.at)
        self.at += 2 if many else 1
        keys = self.key()
        self.space(lines=False)
        self.at += 2 if many else 1
        path: Path = ()
        for n, key in enumerate(keys):
            path = (*path, key)
            self.found.setdefault(path, line)
            if many and n == len(keys) - 1:
                self.counts[path] = self.counts.get(path, 0) + 1
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
            self.found.setdefault(path, line)
        return path

    def key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self.space(lines=False)
            if self.text[self.at] in "\"'":
                start = self.at + 1
                self.string()
                keys.append(self.text[start : self.at - 1])
            else:
                start = self.at
                while self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] in "_-"):
                    self.at += 1
                keys.append(self.text[start : self.at])
            self.space(lines=False)
            if self.at >= len(self.text) or self.text[self.at] != ".":
                return keys
            self.at += 1

    def pair(self, table: Path) -> None:
        line = self.line
        path: Path = table
        for key in self.key():
            path = (*path, key)
            self.found.setdefault(path, line)
        self.at += 1  # the sign of equality
        self.space(lines=False)
        self.value(path)

    def value(self, path: Path) -> None:
        char = self.text[self.at]
        if char == "[":
            self.array(path)
        elif char == "{":
            self.inline(path)
        elif char in "\"'":
            self.string()
        else:
            while self.at < len(self.text) and self.text[self.at] not in _BARE_END:
                self.at += 1

    def array(self, path: Path) -> None:
        self.at += 1
        row = 0
        while self.space() and self.text[self.at] != "]":
            self.found[(*path, row)] = self.line
            self.value((*path, row))
            row += 1
            if self.space() and self.text[self.at] == ",":
                self.at += 1
        self.at += 1

    def inline(self, path: Path) -> None:
        self.at += 1
        while self.space() and self.text[self.at] != "}":
            self.pair(path)
            if self.space() and self.text[self.at] == ",":
                self.at += 1
        self.at += 1

    def string(self) -> None:
        quote = self.text[self.at]
        end = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(end)
        while not self.text.startswith(end, self.at):
            self.at += 2 if self.text[self.at] == "\\" and quote == '"' else 1
        self.at += len(end)
        while len(end) == 3 and self.at < len(self.text) and self.text[self.at] == quote:
            self.at += 1  # a quote may stand before the three that end it
