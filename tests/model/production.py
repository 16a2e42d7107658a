"""The code under test: production's own modules, loaded apart, on simulated time, and perhaps with one edit.

The journal, the store's transactions, and the gateway from a client's frame to the frames sent are executed as they
are. Replaced are the clock, `random` and the logger of those modules; the MongoDB driver, NATS and sockets are passed
in by the simulation.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache, cached_property
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import services.gateway
import services.gateway.app
import shared.epoch
import shared.journal
import shared.store
from tests.model.loop import EPOCH, running

Edits = Mapping[str, Sequence[tuple[str, str]]]
"""Per module: texts that must each occur exactly once, and what takes their place."""

_PACKAGES = (shared.journal, services.gateway)
_LOADED = (
    "shared.indexes",
    "shared.store",
    "shared.epoch",
    "shared.cascade",
    "services.presence.leases",
    "services.presence.status",
    "services.presence.watch",
    *(package.__name__ for package in _PACKAGES),
    *(
        f"{package.__name__}.{module.name}"
        for package in _PACKAGES
        for module in pkgutil.iter_modules(package.__path__)
        if module.name != "__main__"
    ),
)
REPLAYED_PER_SCOPE, REPLAYED_MOST = 8, 16
_TUNED = {
    ("shared.store", "_COMMIT_PATIENCE"): 0.6,
    ("services.gateway.resumption", "MISSED_PER_SCOPE"): REPLAYED_PER_SCOPE,
    ("services.gateway.connection", "MISSED_PER_CONNECTION"): REPLAYED_MOST,
}
"""Waits that are shortened and limits that are lowered, so that a run of seconds sees their end."""


class _Clock:
    """Stands in for the module `time`."""

    def monotonic(self) -> float:
        return running().time()

    perf_counter = monotonic

    def time(self) -> float:
        return EPOCH + running().time()


class _Calendar:
    """Stands in for the class `datetime`."""

    def now(self, zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(_Clock().time(), zone)


class _Dice:
    """Stands in for the module `random`."""

    def uniform(self, a: float, b: float) -> float:
        return running().random.uniform(a, b)


class _Sorted(frozenset[str]):
    """Stands in for `frozenset` where the order in which one is walked decides who asks first."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__()))


_TROUBLE = {"many_gateways_silent", "cascade_failed"}
"""What is called an error, for somebody should look, but is what the weather does."""


class _Log:
    """Production's log goes into the trace; what it calls an error is one."""

    def _note(self, event: str, **values: Any) -> None:
        running().note("log", f"{event} {values}")

    debug = info = warning = _note

    def error(self, event: str, **values: Any) -> None:
        if event in _TROUBLE:
            self._note(event, **values)
        elif not running().closing:
            running().fail(f"{event} {values}")


@dataclass(frozen=True)
class Production:
    """What the simulation makes instances of. The types are those of the unedited modules."""

    modules: Mapping[str, Any]

    @property
    def store(self) -> Any:
        return self.modules["shared.store"]

    @property
    def journal(self) -> Any:
        return self.modules["shared.journal"]

    @property
    def clock(self) -> _Clock:
        return _Clock()

    def store_on(self, driver: Any) -> Any:
        """A Store whose client and database are the driver's."""
        store = self.store.Store.__new__(self.store.Store)
        store._client = store._database = driver
        return store

    def gateway(self, module: str) -> Any:
        return self.modules[f"services.gateway.{module}"]

    def presence(self, module: str) -> Any:
        return self.modules[f"services.presence.{module}"]

    def connect(self, outbox: Any, close: Callable[[int], None]) -> Any:
        """A Connection whose place in a set depends on no address in memory."""
        return self._counted(outbox, close)

    @cached_property
    def _counted(self) -> Any:
        def hash_of(connection: Any) -> int:
            return int(connection.serial)

        def made(connection: Any, *args: Any) -> None:
            plain.__init__(connection, *args)
            serials = running().serials
            connection.serial = next(serials)

        plain = self.gateway("connection").Connection
        return type("Connection", (plain,), {"__slots__": ("serial",), "__hash__": hash_of, "__init__": made})


def load(edits: Edits | None = None) -> Production:
    """Loads every module anew, with these edits. Raises AssertionError when a text is not there exactly once."""
    with _aside():
        finder = _Finder(edits or {})
        sys.meta_path.insert(0, finder)
        try:
            modules = {name: importlib.import_module(name) for name in _LOADED}
        finally:
            sys.meta_path.remove(finder)
    for name, module in modules.items():
        _simulate(name, module)
    return Production(modules)


def _simulate(name: str, module: Any) -> None:
    for attribute, stand_in in (("time", _Clock()), ("random", _Dice()), ("logger", _Log)):
        if hasattr(module, attribute):
            setattr(module, attribute, stand_in)
    if name == "services.gateway.sight":
        module.frozenset = _Sorted
    if name in {"shared.journal.pruner", "shared.cascade"}:
        module.datetime = _Calendar()
    for (where, constant), value in _TUNED.items():
        if where == name:
            assert hasattr(module, constant), f"{where}.{constant} is gone"
            setattr(module, constant, value)


@contextmanager
def _aside() -> Iterator[None]:
    """Takes the modules out of the interpreter's table meanwhile, and puts exactly them back."""
    kept = {name: importlib.import_module(name) for name in _LOADED}
    for name in _LOADED:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(kept)
        for name, module in kept.items():
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, module)


class _Finder(MetaPathFinder):
    def __init__(self, edits: Edits) -> None:
        assert set(edits) <= set(_LOADED), f"not under test: {set(edits) - set(_LOADED)}"
        self._edits = edits

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _LOADED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Edited(fullname, spec.origin, self._edits.get(fullname, ()))
        return spec


class _Edited(SourceFileLoader):
    def __init__(self, fullname: str, path: str, edits: Sequence[tuple[str, str]]) -> None:
        super().__init__(fullname, path)
        self._edits = edits

    def get_code(self, fullname: str) -> CodeType:
        if not self._edits:
            return _code(self.path)
        source = self.get_source(fullname)
        assert source is not None
        for old, new in self._edits:
            assert source.count(old) == 1, f"{fullname} has {source.count(old)} times, not once:\n{old}"
            source = source.replace(old, new)
        return compile(source, self.path, "exec", dont_inherit=True)


@cache
def _code(path: str) -> CodeType:
    return compile(Path(path).read_text(encoding="utf-8"), path, "exec", dont_inherit=True)
