"""The protocol as an AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0).

One channel, the socket. Each method is an operation that receives a request and replies; each event one that sends.
What clients send is closed, for we refuse unknown keys; what we send is open, for clients ignore them.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from docs.contracts import public_events, public_methods, reasons, replies
from docs.examples import Examples, Step
from docs.words import AUDIENCES, EVENT_NOTES, PURPOSES, SCOPES, UNSCOPED, WHEN
from shared import errors
from shared.protocol.contract import Event, Method

Node = dict[str, Any]

_IN_CHANNEL = "#/channels/socket/messages/"
_LINK = re.compile(r"\[(\w+)\]\(#\w+\)")
_REV: Node = {"type": "integer", "minimum": 0}
_ID: Node = {"type": ["string", "integer"], "description": "Of the client's choice; the answer has the same."}
_CORRELATION: Node = {"location": "$message.payload#/id", "description": "The answer to a request has its id."}


def text() -> str:
    return json.dumps(document(Examples.recorded()), ensure_ascii=False, indent=1) + "\n"


def document(examples: Examples) -> Node:
    schemas, refs = _schemas()
    messages: dict[str, Node] = {}
    operations: dict[str, Node] = {}
    for method in public_methods():
        messages |= _messages_of(method, refs, examples)
        operations[method.name] = _receives(method)
    for event in public_events():
        messages[event.name] = _message_of(event, refs, examples)
        operations[event.name] = _sends(event)
    return {
        "asyncapi": "3.0.0",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": {"gateway": {"host": "localhost:8080", "protocol": "ws", "description": "Any gateway."}},
        "channels": {"socket": _socket(messages)},
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "correlationIds": {"request": _CORRELATION},
        },
    }


def _info() -> Node:
    reasons_of_all = {kind.reason: kind for kind in errors.GuildwireError.__subclasses__() if hasattr(kind, "reason")}
    return {
        "title": "Guildwire",
        "version": "1",
        "description": "JSON-RPC 2.0 over a WebSocket, both ways. rules.md beside this file has what is common to all "
        "methods and events; reference.md has the same as this file for people.",
        "license": {"name": "See LICENSE"},
        "x-errors": {
            reason: {"code": kind.code, "description": WHEN[reason]} for reason, kind in reasons_of_all.items()
        },
    }


def _socket(messages: dict[str, Node]) -> Node:
    return {
        "address": "/ws",
        "description": "UTF-8 text frames; one request, answer or event each, or a batch of at most 50 requests.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


# Operations.


def _receives(method: Method[Any, Any]) -> Node:
    answers = [_reply_name(method, model) for model in replies(method)] + [f"{method.name}.error"]
    operation: Node = {
        "action": "receive",
        "channel": {"$ref": "#/channels/socket"},
        "summary": _LINK.sub(r"\1", PURPOSES[method.name]),
        "messages": [{"$ref": f"{_IN_CHANNEL}{method.name}.request"}],
        "reply": {
            "channel": {"$ref": "#/channels/socket"},
            "messages": [{"$ref": f"{_IN_CHANNEL}{name}"} for name in answers],
        },
        "x-cost": method.cost,
        "x-error-reasons": reasons(method),
        "x-before-authenticate": method.entrance,
    }
    if method.reads:
        operation["x-reads-scope"] = method.reads
    return operation


def _sends(event: type[Event]) -> Node:
    operation: Node = {
        "action": "send",
        "channel": {"$ref": "#/channels/socket"},
        "messages": [{"$ref": f"{_IN_CHANNEL}{event.name}"}],
        "x-told-to": AUDIENCES[event.audience] if event.scoped else UNSCOPED[event.name],
    }
    if event.scoped:
        operation["x-scope"] = f"{SCOPES[event.name]}:<id>"
    return operation


# Messages.


def _messages_of(method: Method[Any, Any], refs: dict[type[BaseModel], Node], examples: Examples) -> dict[str, Node]:
    steps = examples.of_method(method.name)
    request = {"method": {"const": method.name}, "params": refs[method.params]}
    needed = ["params"] if method.params.model_json_schema().get("required") else []
    found = {
        f"{method.name}.request": _message(
            f"{method.name}: request",
            _envelope(request, ["method", *needed], answered=False),
            [_example(step, step.request) for step in steps],
        )
    }
    for model in replies(method):
        answers = [_example(step, step.reply) for step in steps if _is_form(step, model)]
        envelope = _envelope({"result": refs[model]}, ["result"])
        found[_reply_name(method, model)] = _message(f"{method.name}: {model.__name__}", envelope, answers)
    refusals = [_example(step, step.reply) for step in steps if step.is_refusal]
    error = _envelope({"error": _error(method)}, ["error"])
    found[f"{method.name}.error"] = _message(f"{method.name}: refused", error, refusals)
    return found


def _message(title: str, payload: Node, examples: list[Node]) -> Node:
    message = {
        "title": title,
        "correlationId": {"$ref": "#/components/correlationIds/request"},
        "payload": payload,
        "examples": examples,
    }
    return {name: value for name, value in message.items() if value != []}


def _example(step: Step, payload: Node) -> Node:
    return {"name": step.title, "payload": payload}


def _is_form(step: Step, model: type[BaseModel]) -> bool:
    """A reply is of the form whose fields it has, no more and no fewer."""
    result = step.reply.get("result")
    return result is not None and set(result) == set(model.model_fields)


def _envelope(members: Node, required: list[str], *, answered: bool = True) -> Node:
    return {
        "type": "object",
        "properties": {"jsonrpc": {"const": "2.0"}, "id": _ID, **members},
        "required": ["jsonrpc", *(["id"] if answered else []), *required],
    }


def _error(method: Method[Any, Any]) -> Node:
    data = {"type": "object", "properties": {"reason": {"enum": reasons(method)}}, "required": ["reason"]}
    members = {"code": {"type": "integer"}, "message": {"type": "string"}, "data": data}
    return {"type": "object", "properties": members, "required": [*members]}


def _message_of(event: type[Event], refs: dict[type[BaseModel], Node], examples: Examples) -> Node:
    position: Node = {"scope": {"type": "string"}, "rev": _REV, "more": {"const": True}} if event.scoped else {}
    placed = {"type": "object", "properties": position, "required": ["scope", "rev"]}
    params = {"allOf": [placed, refs[event]]} if position else refs[event]
    told = [
        {"name": f"Told to {', '.join(heard.to)}", "payload": heard.event} for heard in examples.of_event(event.name)
    ]
    message: Node = {
        "title": event.name,
        "payload": {
            "type": "object",
            "properties": {"jsonrpc": {"const": "2.0"}, "method": {"const": event.name}, "params": params},
            "required": ["jsonrpc", "method", "params"],
        },
    }
    note = " ".join(part for part in (event.__doc__, EVENT_NOTES.get(event.name)) if part)
    return message | ({"summary": note} if note else {}) | ({"examples": told} if told else {})


def _reply_name(method: Method[Any, Any], model: type[BaseModel]) -> str:
    if model is method.delta:
        return f"{method.name}.delta"
    return f"{method.name}.reply" if model is method.result else f"{method.name}.reply.{model.__name__}"


# Schemas.


class _Schemas(GenerateJsonSchema):
    """Open where we send, and without titles that only repeat a field's name."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        if self.mode == "serialization":
            made.pop("additionalProperties", None)
            if schema.get("serialization"):  # it leaves out what is not there
                fields = schema["cls"].model_fields.items()
                made["required"] = [name for name, field in fields if field.is_required()]
        return made

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        """What a model's own serialiser makes has the model's fields."""
        return None if schema["type"] == "function-wrap" else super().ser_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def _schemas() -> tuple[Node, dict[type[BaseModel], Node]]:
    """All models once, under names of their own, and how each is referred to."""
    taken = [method.params for method in public_methods()]
    given = [model for method in public_methods() for model in replies(method)] + public_events()
    keys: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in dict.fromkeys(taken)]
    keys += [(model, "serialization") for model in dict.fromkeys(given)]
    found, made = models_json_schema(keys, ref_template="#/components/schemas/{model}", schema_generator=_Schemas)
    schemas = {_short(name): _renamed(schema) for name, schema in made["$defs"].items()}
    return schemas, {model: _renamed(found[model, mode]) for model, mode in keys}


def _short(name: str) -> str:
    """Models of one name are told apart by their modules."""
    return name.removeprefix("shared__protocol__").replace("__", ".")


def _renamed(schema: Any) -> Any:
    """With references to the short names."""
    if isinstance(schema, list):
        return [_renamed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _short_ref(each) if name == "$ref" else _renamed(each) for name, each in schema.items()}


def _short_ref(ref: str) -> str:
    path, _, name = ref.rpartition("/")
    return f"{path}/{_short(name)}"
