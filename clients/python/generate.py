"""Writes `guildwire/types/` and `guildwire/methods.py` from the contracts; to be run from the repository's root.

python clients/python/generate.py           # writes
python clients/python/generate.py --check   # fails if what is there is not what it would write
"""

from __future__ import annotations

import re
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from shared.protocol import EVENTS, METHODS  # noqa: E402 - found by the path above
from shared.protocol.contract import Audience, Event, Method, Params  # noqa: E402

Model = type[BaseModel]

OWN = frozenset({"register", "login", "authenticate", "resume"})
"""What the client does by itself, in its own way."""

TYPES = HERE / "guildwire/types"

HEADS = {
    "entities": "What the server tells: entities and results. It may send more fields than these: ignore them.",
    "params": "What methods take.",
    "events": "What the server tells by itself.",
}

TYPES_HEAD = '''"""%s

Made by generate.py from the server's contracts: don't edit.%s
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from guildwire.types.entities import (%s)
'''

INIT_HEAD = '''"""What goes over the wire. Made by generate.py from the server's contracts: don't edit."""

'''

METHODS_HEAD = '''"""Every method of the protocol. Made by generate.py from the server's contracts: don't edit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from guildwire import types

NONCES = frozenset({%s})
"""Methods that a nonce makes safe to repeat; one is made for each call that gives none."""


class Methods(ABC):
    @abstractmethod
    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Sends a request and returns its result. Params that are None are left out."""
'''


def main() -> int:
    written = {**types_sources(), HERE / "guildwire/methods.py": methods_source()}
    if "--check" in sys.argv:
        old = [path for path, source in written.items() if not path.exists() or path.read_text() != source]
        for path in old:
            print(f"{path.relative_to(ROOT)} is not current: run python clients/python/generate.py", file=sys.stderr)
        return int(bool(old))
    TYPES.mkdir(exist_ok=True)
    for path, source in written.items():
        path.write_text(source)
    return 0


def public_methods() -> list[Method[Any, Any]]:
    return [method for method in METHODS.values() if not method.internal]


def told() -> list[type[Event]]:
    """The events that clients are told of."""
    return [event for event in EVENTS.values() if event.audience is not Audience.NOBODY]


def callable_methods() -> list[Method[Any, Any]]:
    return [method for method in public_methods() if method.name not in OWN]


# Types.


def types_sources() -> dict[Path, str]:
    """One module for entities and results, one for params, one for events; the package has them all."""
    models: dict[str, Model] = {}
    replies = (each for method in public_methods() for each in (method.result, method.delta) if each is not None)
    for root in (*replies, *told()):
        _collect(root, models)
    params: dict[str, Model] = {}
    for method in public_methods():
        _collect(method.params, params)
    modules: dict[str, dict[str, Model]] = {
        "entities": {name: model for name, model in models.items() if not issubclass(model, Event)},
        "params": {name: model for name, model in params.items() if model.model_fields},
        "events": {type_name(event): event for event in told()},
    }
    sources = {TYPES / f"{name}.py": _module(name, held, modules["entities"]) for name, held in modules.items()}
    exports = "".join(f"from guildwire.types.{name} import {', '.join(held)}\n" for name, held in modules.items())
    names = sorted(name for held in modules.values() for name in held)
    return {**sources, TYPES / "__init__.py": formatted(f"{INIT_HEAD}{exports}\n__all__ = {names!r}\n")}


def _module(name: str, models: dict[str, Model], entities: dict[str, Model]) -> str:
    note = " Dates are RFC 3339 in UTC." if name == "entities" else ""
    head = TYPES_HEAD % (HEADS[name], note, ", ".join(entities))
    if name == "entities":
        head = head[: head.index("from guildwire.types.entities")].rstrip() + "\n"
    return formatted(head + "".join(_definition(*each) for each in models.items()))


def _collect(annotation: Any, models: dict[str, Model]) -> None:
    """Every model that is named in it, those it is made of before itself."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if type_name(annotation) in models:
            return
        for field in annotation.model_fields.values():
            _collect(field.annotation, models)
        models.setdefault(type_name(annotation), annotation)
    for argument in get_args(annotation):
        _collect(argument, models)


def type_name(model: Model) -> str:
    """Params and events say what they are, for their classes are often named as an entity is."""
    name = re.sub(r"\W+", "", model.__name__.replace("[", "Of"))
    if issubclass(model, Params):
        return f"{name}Params"
    return f"{name}Event" if issubclass(model, Event) else name


def _definition(name: str, model: Model) -> str:
    if issubclass(model, RootModel):
        return f"\n\n{name} = {annotation_source(model.model_fields['root'].annotation)}\n"
    lines = [f"\n\nclass {name}(TypedDict):\n"]
    if model.__doc__ and "__doc__" in vars(model) and model.__doc__.strip():
        lines.append(f'    """{_paragraph(model.__doc__)}"""\n\n')
    if issubclass(model, Event) and model.scoped:
        lines.append("    scope: str\n    rev: int\n    more: NotRequired[bool]\n")
    for field_name, field in model.model_fields.items():
        source = annotation_source(field.annotation)
        optional = issubclass(model, Params | Event) and not field.is_required()
        lines.append(f"    {field_name}: {f'NotRequired[{source}]' if optional else source}\n")
    if len(lines) == 1:
        lines.append("    pass\n")
    return "".join(lines)


def _paragraph(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\n    ".join(lines).replace("\n    \n", "\n\n") + ("\n    " if len(lines) > 1 else "")


def annotation_source(annotation: Any, prefix: str = "") -> str:
    """The annotation as Python source, with models by their name."""
    if isinstance(annotation, type) and not get_args(annotation):
        return _class_source(annotation, prefix)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return annotation_source(arguments[0], prefix)
    if origin is Literal:
        return f"Literal[{', '.join(repr(argument) for argument in arguments)}]"
    if origin in {Union, types.UnionType}:
        return " | ".join(dict.fromkeys(annotation_source(argument, prefix) for argument in arguments))
    if origin in {list, dict, tuple}:
        inside = ", ".join("..." if argument is ... else annotation_source(argument, prefix) for argument in arguments)
        return f"{origin.__name__}[{inside}]"
    if annotation in {Any, None}:
        return str(annotation).removeprefix("typing.")
    raise TypeError(f"no source for {annotation!r}")


def _class_source(annotation: type, prefix: str) -> str:
    if issubclass(annotation, BaseModel):
        return prefix + type_name(annotation)
    if issubclass(annotation, datetime | Enum):
        return "str"
    return "None" if annotation is types.NoneType else annotation.__name__


# Methods.


def methods_source() -> str:
    nonces = ", ".join(repr(name) for name in sorted(_with_nonce()))
    return formatted(METHODS_HEAD % nonces + "".join(_method(method) for method in callable_methods()))


def _with_nonce() -> Iterator[str]:
    return (method.name for method in public_methods() if "nonce" in method.params.model_fields)


def _method(method: Method[Any, Any]) -> str:
    # `since` is for the cache, which uses `call`: what these return is in its normal form.
    fields = {name: field for name, field in method.params.model_fields.items() if name != "since"}
    required = [f"{name}: {_parameter(field)}" for name, field in fields.items() if field.is_required()]
    optional = [f"{name}: {_optional(field)} = None" for name, field in fields.items() if not field.is_required()]
    signature = ", ".join(["self", *required, *(["*", *optional] if optional else [])])
    given = ", ".join(f'"{name}": {name}' for name in fields)
    result = annotation_source(method.result, "types.")
    call = f'await self.call("{method.name}", {{{given}}})'
    body = f"result: {result} = {call}\n        return result" if method.result.model_fields else call
    returns = result if method.result.model_fields else "None"
    return f"\n    async def {method.name}({signature}) -> {returns}:\n        {body}\n"


def _parameter(field: FieldInfo) -> str:
    return annotation_source(field.annotation, "types.")


def _optional(field: FieldInfo) -> str:
    source = _parameter(field)
    return source if source.endswith("| None") else f"{source} | None"


def formatted(source: str) -> str:
    """As `ruff format` and its import rules want it, so that the check of the whole repository passes."""
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(HERE / "guildwire/methods.py")]
    for command in (["check", "--fix", "--quiet", "--select", "F401,I", *name, "-"], ["format", "--quiet", *name, "-"]):
        done = subprocess.run([*ruff, *command], input=source, capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            raise SystemExit(f"ruff: {done.stderr}{done.stdout}")
        source = done.stdout
    return source


if __name__ == "__main__":
    sys.exit(main())
