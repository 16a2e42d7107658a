"""The reference of the protocol: every method, event and entity, by what they are about, each with its examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from docs.contracts import Section, public_events, public_methods, reasons, replies, sections
from docs.examples import Examples, Heard, Step
from docs.layout import layout
from docs.schema_words import Schema, link, type_words, without_null
from docs.words import AUDIENCES, EVENT_NOTES, PURPOSES, SCOPES, UNSCOPED, WHEN
from shared import errors
from shared.protocol.contract import Event, Method

INTRODUCTION = """\
# Reference of the protocol

What exists now: methods, events, and what they carry. [How to talk to Guildwire](rules.md) has what is common to all:
frames, scopes and revisions, how to apply events, what to do when a connection closes. The same for programs is in
[asyncapi.json](asyncapi.json).

A param is required unless it says *optional*; `null` is the same as leaving it out. Lengths are in characters, ids are
opaque text. The examples are one story that a test plays: Ann makes a server, Bob joins it, Eve looks in. Ids, dates,
tokens and codes in them are made up, all else is what came. `bob -> join_server {…}` is what Bob's client sends, with
its params; `bob <- {…}` the result, and `ann, bob <- member_added {…}` an event that both are told, with its params.
"""


def reference() -> str:
    """All methods and events that a client can use."""
    known, examples = sections(), Examples.recorded()
    definitions = _definitions()
    body = [line for section in known for line in _section(section, definitions, examples)]
    return "\n".join([INTRODUCTION, *_contents(known), *_errors(), *body])


def _contents(known: Iterable[Section]) -> Iterator[str]:
    for section in known:
        names = [*(method.name for method in section.methods), *(event.name for event in section.events)]
        yield f"- {section.title}: {' '.join(map(link, names))}"
    yield ""


def _errors() -> Iterator[str]:
    yield "## Errors\n"
    yield "`error.data.reason` is meant for programs, `error.message` for people. Each method names the reasons for"
    yield "which it may be refused.\n"
    yield "| code | reason | when |\n|---|---|---|"
    for kind in errors.GuildwireError.__subclasses__():
        if hasattr(kind, "reason"):
            yield f"| {kind.code} | `{kind.reason}` | {WHEN[kind.reason]} |"
    yield ""


def _section(section: Section, definitions: dict[str, tuple[str, Schema]], examples: Examples) -> Iterator[str]:
    yield f"## {section.title}\n"
    yield f"{section.about}\n"
    for method in section.methods:
        yield from _method(method, definitions, examples)
    for event in section.events:
        yield from _event(event, examples)
    for name, (module, schema) in definitions.items():
        if module == section.module:
            yield from _entity(name, schema)


# Methods.


def _method(method: Method[Any, Any], definitions: dict[str, tuple[str, Schema]], examples: Examples) -> Iterator[str]:
    yield f"### {method.name}\n"
    yield f"{PURPOSES[method.name]}\n"
    yield from _params(method.params.model_json_schema())
    for model in replies(method):
        schema = model.model_json_schema()
        yield f"{'With `since`' if model is method.delta else 'Result'}: {_result(schema, definitions)}\n"
    if method.entrance:
        yield "Works before `authenticate`.\n"
    if method.name == "get_server":
        yield "With `invite` it works before `authenticate`.\n"
    if method.reads:
        yield f"While it is under way, this connection's events of `{method.reads}` wait for the reply.\n"
    yield f"Refused with {' '.join(f'`{reason}`' for reason in reasons(method))}.\n"
    for step in examples.of_method(method.name):
        yield from _step(step)


def _params(schema: Schema) -> Iterator[str]:
    if not schema["properties"]:
        yield "No params.\n"
        return
    if "description" in schema:
        yield f"{schema['description']}\n"
    required = schema.get("required", [])
    yield "| param | type | |\n|---|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {type_words(without_null(field))} | {'' if name in required else 'optional'} |"
    yield ""


def _result(schema: Schema, definitions: dict[str, tuple[str, Schema]]) -> str:
    if not schema["properties"]:
        return "`{}`"
    if schema["title"] in definitions:
        return f"{link(schema['title'])}"
    fields = ", ".join(f"`{name}` {type_words(field)}" for name, field in schema["properties"].items())
    return f"{fields}.\n\n{schema['description']}" if "description" in schema else f"{fields}."


def _step(step: Step) -> Iterator[str]:
    request = _frame(step.who, "->", step.method, step.request["params"])
    reply = step.reply.get("result")
    answer = (
        _frame(step.who, "<-", "error", step.reply["error"]) if step.is_refusal else _frame(step.who, "<-", "", reply)
    )
    yield f"{step.title}:\n"
    yield _frames([request, answer, *map(_told, step.heard)])


def _told(heard: Heard) -> str:
    return _frame(", ".join(heard.to), "<-", heard.name, heard.event["params"])


def _frame(who: str, arrow: str, name: str, content: Any) -> str:
    head = " ".join(filter(None, (who, arrow, name)))
    return f"{head} {layout(content, before=len(head) + 1)}"


def _frames(frames: Iterable[str]) -> str:
    return "\n".join(["```text", *frames, "```\n"])


# Events and entities.


def _event(event: type[Event], examples: Examples) -> Iterator[str]:
    schema = event.model_json_schema()
    yield f"### {event.name}\n"
    if event.scoped:
        yield f"In `{SCOPES[event.name]}:<id>`. Told to {AUDIENCES[event.audience]}.\n"
    else:
        yield f"In no scope, without `rev`. Told to {UNSCOPED[event.name]}.\n"
    yield from (f"{text}\n" for text in (schema.get("description"), EVENT_NOTES.get(event.name)) if text)
    yield from _fields(schema)
    causes = examples.causes(event.name)
    if causes:
        yield f"In the examples it follows {' '.join(map(link, causes))}.\n"
    else:
        yield from (_frames([_told(heard)]) for heard in examples.of_event(event.name)[:1])


def _entity(name: str, schema: Schema) -> Iterator[str]:
    yield f"### {name}\n"
    if "description" in schema:
        yield f"{schema['description']}\n"
    yield from _fields(schema)


def _fields(schema: Schema) -> Iterator[str]:
    if not schema["properties"]:
        return
    yield "| field | type |\n|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {type_words(field)} |"
    yield ""


def _definitions() -> dict[str, tuple[str, Schema]]:
    """The entities that stand inside others, by name, each with the module that declares it."""
    roots = [model for method in public_methods() for model in (method.params, *replies(method))]
    found: dict[str, Schema] = {}
    for model in [*roots, *public_events()]:
        found |= model.model_json_schema().get("$defs", {})
    homes = _homes([*roots, *public_events()])
    return {name: (homes[name], found[name]) for name in sorted(found)}


def _homes(roots: Iterable[Any]) -> dict[str, str]:
    """Where each model is declared that these are made of."""
    found: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        each = waiting.pop()
        waiting += getattr(each, "__args__", ())
        if hasattr(each, "model_fields") and each.__name__ not in found:
            found[each.__name__] = each.__module__
            waiting += [field.annotation for field in each.model_fields.values()]
    return found
