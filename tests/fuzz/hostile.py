"""What strangers put into the params of a method: values that are nearly right, with one thing broken.

Right ones are made from the contracts' JSON schemas. `<server>`, `<token>` and the like stand for what the scene has
at the time, so that an input can be kept.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from shared.protocol import METHODS

NOWHERE = "0" * 24
HUGE = 2**70
OPERATORS: list[Any] = [
    {"$ne": None},
    {"$gt": ""},
    {"$regex": "^"},
    {"$in": [""]},
    {"$exists": True},
    {"$where": "true"},
    [{"$ne": None}],
]
ODD_IDS = ["", "x", "$ne", "a.b", "*", ">", "a b", "../..", "\x00", "ünïcödé", "F" * 24]
ODD_IDS += [length * "0" for length in (23, 24, 25, 65, 4000)]
SECRET = "pr0perHorseBattery"
"""In every password and token that is sent, right or wrong: whoever logs one logs this."""

PUBLIC = sorted(name for name, method in METHODS.items() if not method.internal)
_LARGEST = 60_000
_PLACE = re.compile(r"<[a-z ]+>")

_SERVERS = ["<server>", "<server>", "<foreign server>", NOWHERE]
_CHANNELS = ["<channel>", "<channel>", "<direct channel>", "<foreign channel>", NOWHERE]
_ROLES = ["<role>", "<everyone>", "<foreign role>", NOWHERE]
_USERS = ["<user>", "<member>", "<member>", "<stranger>", NOWHERE]
_SCOPES = ["server:<server>", "channel:<channel>", "self:<user>", "user:<member>", "server:<foreign server>"]
_SCOPES += ["channel:<foreign channel>", "self:<stranger>", "user:<stranger>", "server:", "x", "journal:x", "a.b:>"]
_NAMED: dict[str, list[str]] = {
    "server_id": _SERVERS,
    "channel_id": _CHANNELS,
    "category_id": ["<category>", "<foreign category>", NOWHERE],
    "role_id": _ROLES,
    "user_id": _USERS,
    "owner_id": ["<user>", "<stranger>", NOWHERE],
    "user_ids": _USERS,
    "session_id": ["<session>", NOWHERE],
    "invite": ["<invite>", "<foreign invite>x", NOWHERE],
    "code": ["<invite>", "<foreign invite>", NOWHERE],
    "token": ["<token>", SECRET, SECRET * 10],
    "password": ["<password>", SECRET, SECRET * 8],
    "old_password": [SECRET, SECRET * 8],
    "scopes": _SCOPES,
    "resume": _SCOPES,
    "users": _USERS,
    "members": _SERVERS,
    "image": ["0" * 64, "f" * 64],
    "anchor": ["x", "", "<user>", "\x00", "e30=", "bnVsbA=="],
}
_IDS_IN = {"update_member": {"roles": _ROLES}}
_EITHER = {
    "add_friend": ("user_id", "name"),
    "get_server": ("server_id", "invite"),
    "get_message_chunk": ("anchor", "around"),
}
"""What their schemas can't say: one of two, never both."""

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        *ODD_IDS,
        "\x00",
        "a\x00b",
        "\u202e",
        "\uffff",
        "\U0010ffff",
        "\ud800",
        "<foreign server>",
        "__proto__",
        "x" * 30_000,
    ]
)
_NUMBERS = st.sampled_from(
    [0, -1, 1, 2, 100, 101, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, HUGE, -HUGE, 0.5, -0.0, 1e308, 5e-324]
)
_DEEP = st.sampled_from([30, 33, 120, 253, 254, 260]).map(lambda depth: json.loads('{"x":' * depth + "0" + "}" * depth))
_ANYTHING = st.one_of(
    st.sampled_from(OPERATORS),
    st.sampled_from([None, True, False, [], {}, [[]], ""]),
    _NUMBERS,
    _TEXTS,
    _DEEP,
    st.recursive(
        _TEXTS | _NUMBERS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
        max_leaves=6,
    ),
)
_KEYS = st.sampled_from(["$where", "$set", "_id", "", "rev", "unknown", "user", "deadline", "a.b"]) | _TEXTS

Call = tuple[str, dict[str, Any]]


def calls(methods: list[str], least: int, most: int) -> SearchStrategy[list[Call]]:
    one = st.sampled_from(methods).flatmap(lambda method: st.tuples(st.just(method), _params(method)))
    return st.lists(one, min_size=least, max_size=most)


def filled(value: Any, places: Mapping[str, str]) -> Any:
    """With what the scene has in each place."""
    match value:
        case str():
            return _PLACE.sub(lambda found: places.get(found[0], found[0]), value)
        case list() | tuple():
            return [filled(each, places) for each in value]
        case dict():
            return {filled(name, places): filled(each, places) for name, each in value.items()}
    return value


@st.composite
def _params(draw: DrawFn, method: str) -> dict[str, Any]:
    params = draw(_good(method))
    if method in _EITHER:
        params.pop(draw(st.sampled_from(_EITHER[method])), None)
    if draw(st.integers(0, 2)):
        params = draw(_broken(params))
    # What is larger closes the connection; the tests of frames see to that.
    return params if len(json.dumps(params)) < _LARGEST else {}


@functools.cache
def _good(method: str) -> SearchStrategy[dict[str, Any]]:
    schema = METHODS[method].params.model_json_schema()
    return _Right(schema.get("$defs", {}), _IDS_IN.get(method, {})).of(schema, "")


class _Right:
    """What a schema allows, mostly small, and ids that name something."""

    def __init__(self, definitions: Mapping[str, Any], ids: Mapping[str, list[str]]) -> None:
        self._definitions = definitions
        self._named = {**_NAMED, **ids}

    def of(self, schema: Mapping[str, Any], name: str) -> SearchStrategy[Any]:
        match schema:
            case {"$ref": ref}:
                return self.of(self._definitions[ref.rpartition("/")[2]], name)
            case {"anyOf": kinds}:
                return st.one_of([self.of(kind, name) for kind in kinds])
            case {"enum": values}:
                return st.sampled_from(values)
            case {"const": value}:
                return st.just(value)
        of_type: dict[str, Callable[[Mapping[str, Any], str], SearchStrategy[Any]]] = {
            "object": self._object,
            "array": self._list,
            "string": self._text,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda *_: st.booleans(),
            "null": lambda *_: st.none(),
        }
        make = of_type.get(schema.get("type", ""))
        return make(schema, name) if make else _ANYTHING

    def _list(self, schema: Mapping[str, Any], name: str) -> SearchStrategy[Any]:
        return st.lists(self.of(schema["items"], name), min_size=schema.get("minItems", 0), max_size=4)

    def _integer(self, schema: Mapping[str, Any], _name: str) -> SearchStrategy[Any]:
        least = schema.get("minimum", 0)
        return st.integers(least, least + 6) | st.integers(least, schema.get("maximum", 2**53))

    def _number(self, schema: Mapping[str, Any], _name: str) -> SearchStrategy[Any]:
        return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False)

    def _object(self, schema: Mapping[str, Any], name: str) -> SearchStrategy[Any]:
        if "properties" not in schema:
            if schema.get("additionalProperties") is False:
                return st.just({})
            others = schema.get("additionalProperties")
            values = self.of(others, name) if isinstance(others, dict) else _ANYTHING
            return st.dictionaries(st.sampled_from(self._named.get(name, ["x"])) | _TEXTS, values, max_size=4)
        fields = {each: self.of(kind, each) for each, kind in schema["properties"].items()}
        needed = set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {each: fields[each] for each in needed},
            optional={each: kind for each, kind in fields.items() if each not in needed},
        )

    def _text(self, schema: Mapping[str, Any], name: str) -> SearchStrategy[str]:
        if name in self._named:
            return st.sampled_from(self._named[name])
        if "pattern" in schema:
            least, most = schema.get("minLength", 0), schema.get("maxLength", 64)
            return st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: least <= len(text) <= most)
        return st.text(st.characters(codec="utf-8"), min_size=schema.get("minLength", 0), max_size=12)


@st.composite
def _broken(draw: DrawFn, params: dict[str, Any]) -> dict[str, Any]:
    """A copy with one thing replaced, wrapped, taken away or added, at any depth."""
    copy: dict[str, Any] = json.loads(json.dumps(params))
    spots = [*_spots(copy)]
    holders = [copy, *(holder[key] for holder, key in spots if isinstance(holder[key], dict))]
    what = draw(st.sampled_from(["replace", "wrap", "list", "remove", "add"])) if spots else "add"
    if what == "add":
        draw(st.sampled_from(holders))[draw(_KEYS)] = draw(_ANYTHING)
        return copy
    holder, key = draw(st.sampled_from(spots))
    if what == "remove":
        del holder[key]
    elif what == "replace":
        holder[key] = draw(_ANYTHING)
    elif what == "list":
        holder[key] = [holder[key]]
    else:
        holder[key] = {draw(st.sampled_from(["$gt", "$ne", "$eq", "$in", "x"])): holder[key]}
    return copy


def _spots(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a value within a JSON tree: the object or list that holds it, and under what."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(pairs):
        yield tree, key
        yield from _spots(value)
