"""A JSON schema in words, for tables that people read."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

PATTERNS = {r"^[^\x00-\x1f\x7f]*$": "no control characters"}


def type_words(schema: Schema) -> str:
    match schema:
        case {"$ref": str(path)}:
            words = link(path.rpartition("/")[2])
        case {"anyOf": [*kinds]}:
            words = " or ".join(map(type_words, kinds))
        case {"const": value}:
            words = f"always `{str(value).lower()}`"
        case {"enum": [*values]}:
            words = "one of " + " ".join(f"`{value}`" for value in values)
        case {"type": "string"}:
            words = _text(schema)
        case {"type": "integer" | "number"}:
            words = _number(schema)
        case {"type": "array", "items": items}:
            words = f"list of {type_words(items)}"
        case {"type": "object", "additionalProperties": {"type": _} as values}:
            words = f"map of text to {type_words(values)}"
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


def without_null(schema: Schema) -> Schema:
    """A param may be null or left out alike, which *optional* says."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return {"anyOf": kinds} if kinds else schema


def link(name: str) -> str:
    return f"[{name}](#{name.lower()})"
