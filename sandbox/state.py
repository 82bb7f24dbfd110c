"""What a local provider knows: named tables of JSON objects under one lock, its clock, and its ids.

Everything in `tables` must be JSON, so that it can be kept in a file: a restart then still knows its objects, its
webhook subscriptions and the letters that it has not delivered yet.
"""

import json
import os
import random
import secrets
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]
"""One object as it goes over the wire."""

LETTERS_AND_DIGITS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class State:
    """Tables, clock and ids of one provider.

    Every read of more than one object happens under `lock`, every change inside `changing()`. With a `path` the
    whole is written to that file, atomically, after each change, and read from it at the start. The same `seed`
    gives the same ids in the same order; without one it is random.
    """

    def __init__(self, *, seed: str = "", path: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.tables: dict[str, dict[str, Json]] = {}
        self.seed = seed or secrets.token_hex(8)
        self._drawn = 0
        self._ahead = 0.0
        self._path = path
        self._depth = 0
        if path is not None and path.exists():
            kept = json.loads(path.read_text())
            self.seed, self._drawn, self._ahead = kept["seed"], kept["drawn"], kept["ahead"]
            self.tables = kept["tables"]

    def table(self, name: str) -> dict[str, Json]:
        """The table of this name, in the order in which its rows were put in. A new name is an empty table."""
        with self.lock:
            return self.tables.setdefault(name, {})

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock, and write the file when the outermost change is over."""
        with self.lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._save()

    def now(self) -> float:
        """The provider's clock in unix seconds: the machine's, and what it was advanced by."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the provider's clock, as a test does that cannot wait for a session to expire."""
        with self.changing():
            self._ahead += seconds

    def dice(self) -> random.Random:
        """A fresh generator that depends on the seed and on how many were asked for, and on nothing else."""
        with self.lock:
            self._drawn += 1
            return random.Random(f"{self.seed}/{self._drawn}")  # noqa: S311 - repeatable on purpose

    def new_id(self, prefix: str, length: int = 24) -> str:
        """A new id: the prefix and `length` letters and digits."""
        return prefix + "".join(self.dice().choices(LETTERS_AND_DIGITS, k=length))

    def new_uuid(self) -> str:
        """A new UUID, version 4 in form."""
        return str(uuid.UUID(int=self.dice().getrandbits(128), version=4))

    def reset(self, *, seed: str, keep: Collection[str]) -> None:
        """Forget everything but the tables named in `keep`; the clock is the machine's again."""
        with self.changing():
            self.tables = {name: rows for name, rows in self.tables.items() if name in keep}
            self.seed, self._drawn, self._ahead = seed, 0, 0.0

    def _save(self) -> None:
        if self._path is None:
            return
        whole = {"seed": self.seed, "drawn": self._drawn, "ahead": self._ahead, "tables": self.tables}
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_text(json.dumps(whole))
        os.replace(beside, self._path)
