"""Rows of a file in the order of event time, within bounded memory."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from typing import TextIO

MEMORY_CHARACTERS = 8_000_000
MERGED_AT_ONCE = 32


class EventOrder:
    """An external merge sort: rows are added in any order and come out by time, then by line.

    What does not fit into memory is in temporary files, which disappear with the process. Raises
    OSError when there is no room for them.
    """

    def __init__(self, memory_characters: int = MEMORY_CHARACTERS) -> None:
        self._limit = memory_characters
        self._rows: list[str] = []
        self._size = 0
        # Sorted files, by how often their rows were merged: each row is, log(rows) times.
        self._files: list[list[TextIO]] = []

    def add(self, timestamp: str, line: int, content: str) -> None:
        """Take a row: its time in UTC as RFC 3339, its line, and its content without line breaks.

        RFC 3339 in UTC sorts as text, with and without decimals: "+" is before ".".
        """
        row = f"{timestamp}\t{line:012d}\t{content}\n"
        self._rows.append(row)
        self._size += len(row)
        if self._size >= self._limit:
            self._rows.sort()
            self._keep(iter(self._rows), 0)
            self._rows, self._size = [], 0

    def __iter__(self) -> Iterator[tuple[str, int, str]]:
        """Give (timestamp, line, content) of all rows; once."""
        self._rows.sort()
        files = [file for level in self._files for file in level]
        for row in heapq.merge(self._rows, *files):
            timestamp, line, content = row.rstrip("\n").split("\t", 2)
            yield timestamp, int(line), content

    def close(self) -> None:
        """Delete the temporary files."""
        for level in self._files:
            for file in level:
                file.close()

    def _keep(self, rows: Iterator[str], level: int) -> None:
        file = tempfile.TemporaryFile("w+", encoding="ascii", newline="\n")  # noqa: SIM115
        if level == len(self._files):
            self._files.append([])
        self._files[level].append(file)
        file.writelines(rows)
        file.seek(0)
        full = self._files[level]
        if len(full) == MERGED_AT_ONCE:
            self._files[level] = []
            self._keep(heapq.merge(*full), level + 1)
            for merged in full:
                merged.close()
