"""Writes the pages that are made from the code: the protocol's reference and the table of settings. `make docs`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from shared import errors, settings
from shared.protocol import EVENTS, METHODS
from shared.protocol.contract import Audience, Method

DOCS = Path(__file__).resolve().parent
Schema = dict[str, Any]

SECTIONS = {
    "Connections and accounts": ("gateway", "presence"),
    "Servers and channels": ("guilds",),
    "Messages": ("messages",),
}
"""The services whose methods stand under each heading."""

PURPOSES = {
    "register": "Makes an account and logs in to it. `conflict`: the name is taken.",
    "login": "Makes a session of an account. `unauthenticated`: wrong name or wrong password, it is not said which.",
    "authenticate": "Says whose connection this is. From the reply on it is told the events of `self`, of every server "
    "you are in, and of their channels. `conflict`: this connection is authenticated already.",
    "logout": "Ends the session. All its connections close with 4002, this one after the reply.",
    "get_user": "A public profile; without `user_id`, your own.",
    "resume": "More of a cache that was too large for one `authenticate`; any number of times within a minute of it.",
    "forget": "No more events of these `user:` scopes.",
    "get_sessions": "Your sessions, the last used first.",
    "delete_session": "Ends a session of yours; its connections close with 4002.",
    "get_users": "Of these users, those newer than the revision given; you are told of all of them from then on.",
    "update_user": "Changes your profile; `null` clears the status text.",
    "get_server_members": "Members in the order of their shown names. From the reply on this connection is told the "
    "server's member events.",
    "ping": "The gateway's time, in milliseconds since 1970.",
    "add_server": "Makes a server with the role `everyone`, the channel `general`, and you as its owner. "
    "`conflict`: you are in 200 servers already.",
    "get_servers": "The servers you are in; with another's `user_id`, those that you share.",
    "get_server": "A server you are in, with your membership as `me` ([Me](#me)); or the server that an invite leads "
    "to, without `me`. Give either `server_id` or `invite`.",
    "join_server": "Makes you a member; twice is once. A code that is wrong, expired or used up is `not_found`. "
    "`conflict`: you are in 200 servers already.",
    "leave_server": "Ends your membership; twice is once. `conflict`: the owner can't leave.",
    "add_invite": "Makes a code that lets others see and join the server; `expires_in` is in seconds. "
    "Needs `invite_members`. `conflict`: the server has 100 usable invites already.",
    "get_server_channels": "The channels that you may see, in order, by category; with another's `user_id`, those that "
    "this member may see (needs `manage_roles`).",
    "add_channel": "Makes a channel; without `position`, the last one. Needs `manage_channels`. "
    "`conflict`: the server has 500 channels already.",
    "add_message": "Writes a message. Needs `send_messages`. `<@user_id>` in `content` mentions that user, and "
    "`@everyone` all, for who has `mention_everyone`.",
    "get_message_chunk": "A page of messages, in ascending order. `anchor` and `direction` are required where `around` "
    "is not given. A page may be shorter than `amount`, for no reply is larger than 512 KiB: `has_more` tells.",
    "update_message": "Changes the text. `forbidden` to all but the author. The same text again changes nothing.",
    "delete_message": "Deletes a message; twice is once. Needs `manage_messages` for another's.",
}

SCOPES = {
    "user_changed": "user",
    "server_added": "self",
    "server_deleted": "self",
    "member_added": "server",
    "member_deleted": "server",
    "channel_added": "server",
    "message_added": "channel",
    "message_changed": "channel",
    "message_deleted": "channel",
}
"""The kind of scope that each event belongs to."""

EVENT_NOTES = {
    "message_added": "To its author, and to nobody else, `message` also has the `nonce` that came with it.",
    "server_deleted": "It stands for all the server's channels too. For now `why` is always `left`.",
}

AUDIENCES = {
    Audience.SCOPE: "every connection that holds the scope",
    Audience.MEMBERS: "nobody but the member it is about",
}

WHEN = {
    "parse_error": "The frame is not JSON.",
    "invalid_request": "It is no request, or a batch that is empty or has more than 50.",
    "method_not_found": "There is no such method.",
    "invalid_params": "A field is unknown, missing, of the wrong type, too long or out of range. "
    "`data.errors` lists up to 20 as `{field, problem}`.",
    "unauthenticated": "Before `authenticate`; a token, or a name and password, that were refused.",
    "forbidden": "You may see it, but not do it. `data.needs` names the permission where one is missing.",
    "not_found": "It does not exist, or you may not see it: the two look alike.",
    "conflict": "It can't be done as things are; the message says why.",
    "rate_limited": "Asked too often. Not in use yet.",
    "unavailable": "A part is down or slow. The outcome is unknown: ask again, an `add_*` with the same `nonce`.",
    "internal": "A fault of ours; it was logged under `data.request_id`.",
}

PATTERNS = {r"^[^\x00-\x1f\x7f]*$": "no control characters"}


def reference() -> str:
    """All methods and events that a client can use."""
    return "\n".join([INTRODUCTION, *_contents(), *_errors(), *_methods(), *_events(), *_entities()])


def settings_page() -> str:
    return f"{SETTINGS_INTRODUCTION}\n{settings.table()}\n"


PAGES = {DOCS / "protocol" / "reference.md": reference, DOCS / "settings.md": settings_page}

_MADE = "<!-- Made by `make docs` from the code: changes made here are lost. -->"

INTRODUCTION = f"""\
{_MADE}

# Reference of the protocol

What exists now: methods, events, and what they carry. [How to talk to Guildwire](rules.md) has what is common to all:
frames, scopes and revisions, how to apply events, what to do when a connection closes.

A param is required unless it says *optional*; `null` is the same as leaving it out. Lengths are in characters, ids are
opaque text. `since` is accepted, but answered in full for now (`full: true`).
"""

SETTINGS_INTRODUCTION = f"""\
{_MADE}

# Settings

What every process reads from its environment, and checks before it opens a socket. `NAME_FILE` may hold the path of a
file with the value instead. Times are in seconds, sizes in bytes. `python -m shared.settings` prints this table.
"""


def _contents() -> Iterator[str]:
    for title, services in SECTIONS.items():
        names = [method.name for method in _public_methods() if method.service in services]
        yield f"- {title}: {' '.join(map(_link, names))}"
    yield f"- Events: {' '.join(map(_link, EVENTS))}\n"


def _errors() -> Iterator[str]:
    yield "## Errors\n"
    yield "Any method may answer with these. `error.data.reason` is meant for programs, `error.message` for people.\n"
    yield "| code | reason | when |\n|---|---|---|"
    for kind in errors.GuildwireError.__subclasses__():
        if hasattr(kind, "reason"):
            yield f"| {kind.code} | `{kind.reason}` | {WHEN[kind.reason]} |"
    yield ""


def _methods() -> Iterator[str]:
    for title, services in SECTIONS.items():
        yield f"## {title}\n"
        for method in _public_methods():
            if method.service in services:
                yield from _method(method)


def _public_methods() -> list[Method[Any, Any]]:
    return [method for method in METHODS.values() if not method.internal]


def _method(method: Method[Any, Any]) -> Iterator[str]:
    params, result = method.params.model_json_schema(), method.result.model_json_schema()
    yield f"### {method.name}\n"
    yield f"{PURPOSES[method.name]}\n"
    if params["properties"]:
        if "description" in params:
            yield f"{params['description']}\n"
        required = params.get("required", [])
        yield "| param | type | |\n|---|---|---|"
        for name, schema in params["properties"].items():
            yield f"| `{name}` | {_type(_without_null(schema))} | {'' if name in required else 'optional'} |"
        yield ""
    else:
        yield "No params.\n"
    yield f"Result: {_result(result)}\n"
    if method.delta:
        yield f"With `since`: {_result(method.delta.model_json_schema())}\n"
    if method.entrance:
        yield "Works before `authenticate`.\n"
    if method.name == "get_server":
        yield "With `invite` it works before `authenticate`.\n"
    if method.reads:
        yield f"While it is under way, this connection's events of `{method.reads}` wait for the reply.\n"


def _result(schema: Schema) -> str:
    if not schema["properties"]:
        return "`{}`"
    if schema["title"] in _definitions():
        return f"{_link(schema['title'])}"
    fields = ", ".join(f"`{name}` {_type(field)}" for name, field in schema["properties"].items())
    return f"{fields}.\n\n{schema['description']}" if "description" in schema else f"{fields}."


def _events() -> Iterator[str]:
    yield "## Events\n"
    yield "Every event also carries its `scope`, its `rev` in that scope and, if another of the same `rev` follows,"
    yield "`more: true`.\n"
    for name, event in EVENTS.items():
        schema = event.model_json_schema()
        yield f"### {name}\n"
        yield f"In `{SCOPES[name]}:<id>`. Told to {AUDIENCES[event.audience]}.\n"
        yield from (f"{text}\n" for text in (schema.get("description"), EVENT_NOTES.get(name)) if text)
        yield from _fields(schema)


def _entities() -> Iterator[str]:
    yield "## Entities\n"
    for name, schema in sorted(_definitions().items()):
        yield f"### {name}\n"
        if "description" in schema:
            yield f"{schema['description']}\n"
        yield from _fields(schema)


def _fields(schema: Schema) -> Iterator[str]:
    yield "| field | type |\n|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_type(field)} |"
    yield ""


def _definitions() -> dict[str, Schema]:
    """The entities that stand inside others, by name."""
    made: list[type[BaseModel]] = [method.result for method in _public_methods()]
    made += [method.params for method in _public_methods()]
    made += [method.delta for method in _public_methods() if method.delta]
    found: dict[str, Schema] = {}
    for model in [*made, *EVENTS.values()]:
        found |= model.model_json_schema().get("$defs", {})
    return found


# From JSON schema to words.


def _type(schema: Schema) -> str:
    match schema:
        case {"$ref": str(path)}:
            words = _link(path.rpartition("/")[2])
        case {"anyOf": [*kinds]}:
            words = " or ".join(map(_type, kinds))
        case {"const": value}:
            words = f"always `{str(value).lower()}`"
        case {"enum": [*values]}:
            words = "one of " + " ".join(f"`{value}`" for value in values)
        case {"type": "string"}:
            words = _text(schema)
        case {"type": "integer" | "number"}:
            words = _number(schema)
        case {"type": "array", "items": items}:
            words = f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": {"type": _} as values}:
            words = f"map of text to {_type(values)}"
        case _:
            words = "true or false" if schema["type"] == "boolean" else str(schema["type"])
    return words


def _text(schema: Schema) -> str:
    if schema.get("format") == "date-time":
        return "date (RFC 3339, UTC)"
    limits = []
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if high is not None:
        limits.append(f"{low}\N{EN DASH}{high}" if low else f"at most {high}")
    if pattern := schema.get("pattern"):
        limits.append(PATTERNS.get(pattern, f"`{pattern}`"))
    return ", ".join(["text", *limits])


def _number(schema: Schema) -> str:
    words = "whole number" if schema["type"] == "integer" else "number"
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None and high < 2**53:
        return f"{words}, {low}\N{EN DASH}{high}"
    return words if low is None else f"{words}, {low} or more"


def _without_null(schema: Schema) -> Schema:
    """A param may be null or left out alike, which *optional* says."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return {"anyOf": kinds} if kinds else schema


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def stale_pages() -> Iterable[Path]:
    """The pages that are not as the code has it now."""
    for path, make in PAGES.items():
        if not path.exists() or path.read_text(encoding="utf-8") != make():
            yield path


def main() -> None:
    for path in list(stale_pages()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGES[path](), encoding="utf-8")


if __name__ == "__main__":
    main()
