"""`asyncapi.json` is valid by the official schema and the official parser; its examples are as its schemas say."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, FormatChecker  # type: ignore[import-untyped]  # it comes without types

from docs.contracts import public_events, public_methods
from docs.examples import Examples
from docs.generate import DOCS

HERE = Path(__file__).resolve().parent
PAGE = DOCS / "protocol" / "asyncapi.json"
DOCUMENT: dict[str, Any] = json.loads(PAGE.read_text(encoding="utf-8"))
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
OFFICIAL = HERE / "asyncapi" / "schema-3.0.0.json"
"""From the npm package @asyncapi/specs 6.11.1, as it is; its licence stands beside it."""

NPM_PATIENCE = 300


def validator(payload: dict[str, Any]) -> Draft7Validator:
    """Of a schema that refers to the document's components."""
    return Draft7Validator({**payload, "components": DOCUMENT["components"]}, format_checker=FormatChecker())


def test_it_is_valid_by_the_official_schema() -> None:
    official = Draft7Validator(json.loads(OFFICIAL.read_text(encoding="utf-8")))
    assert [error.message for error in official.iter_errors(DOCUMENT)] == []
    broken = {**DOCUMENT, "operations": {"ping": {"action": "shout", "channel": {"$ref": "#/channels/socket"}}}}
    assert list(official.iter_errors(broken))


@pytest.fixture(scope="module")
def parser() -> Path:
    """A folder with the official parser, installed once for each lock file."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm, which the AsyncAPI parser needs, are not on this machine")
    lock = (HERE / "package-lock.json").read_bytes()
    folder = HERE.parents[1] / ".local" / "npm" / hashlib.sha256(lock).hexdigest()[:16]
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_PATIENCE, check=False)
        if done.returncode and "CI" not in os.environ:
            pytest.skip(f"npm could not install the AsyncAPI parser: {done.stderr[-500:]}")
        assert done.returncode == 0, done.stderr
        (folder / "installed").touch()
    shutil.copy(HERE / "parse.js", folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(NPM_PATIENCE + 60)
def test_the_official_parser_finds_no_fault(parser: Path, tmp_path: Path) -> None:
    found = parsed(parser, PAGE)
    assert found["problems"] == []
    assert set(found["operations"]) == {*(method.name for method in public_methods()), *names_of_events()}
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({**DOCUMENT, "channels": {}}))
    assert parsed(parser, broken)["problems"]


def parsed(folder: Path, page: Path) -> dict[str, Any]:
    done = subprocess.run(["node", "parse.js", page], cwd=folder, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def names_of_events() -> set[str]:
    return {event.name for event in public_events()}


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_is_as_its_schema_says(name: str) -> None:
    for example in MESSAGES[name].get("examples", []):
        problems = [error.message for error in validator(MESSAGES[name]["payload"]).iter_errors(example["payload"])]
        if name.endswith(".request") and is_refused_as_invalid(example):
            assert problems
        else:
            assert problems == []


def is_refused_as_invalid(example: dict[str, Any]) -> bool:
    """Whether the story shows how this request is refused for its params."""
    steps = [step for step in Examples.recorded().steps if step.request == example["payload"]]
    return any(step.is_refusal and step.reply["error"]["data"]["reason"] == "invalid_params" for step in steps)


def test_every_frame_of_the_story_is_an_example() -> None:
    told = [example["payload"] for message in MESSAGES.values() for example in message.get("examples", [])]
    for step in Examples.recorded().steps:
        asked = [step.request, step.reply] if step.request else []
        for frame in (*asked, *(heard.event for heard in step.heard)):
            assert frame in told, f"{step.title}: {frame}"


def test_what_clients_send_is_closed_and_what_they_get_is_open() -> None:
    request = MESSAGES["add_message.request"]
    sent = {**request["examples"][0]["payload"]}
    assert list(validator(request["payload"]).iter_errors({**sent, "params": {**sent["params"], "unknown": 1}}))
    event = MESSAGES["message_added"]
    told = event["examples"][0]["payload"]
    assert not list(validator(event["payload"]).iter_errors({**told, "params": {**told["params"], "unknown": 1}}))
