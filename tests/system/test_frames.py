"""What is no request: frames that are no JSON, no JSON-RPC, too large, or of the wrong kind."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect

from shared.protocol import METHODS
from tests.client import Closed, RpcError
from tests.rig import People, refused

LARGEST = 64 * 1024
PING = {"jsonrpc": "2.0", "id": "p", "method": "ping"}


def reason(answer: dict[str, Any]) -> tuple[int, str]:
    assert set(answer) == {"jsonrpc", "id", "error"}
    return answer["error"]["code"], answer["error"]["data"]["reason"]


NO_JSON = {
    "empty": "",
    "blank": " ",
    "cut": '{"jsonrpc": "2.0", "id": 1, "method": "ping"',
    "words": "hello",
    "two": json.dumps(PING) * 2,
    "quotes": "{'jsonrpc': '2.0', 'id': 1, 'method': 'ping'}",
    "NaN": '{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": NaN}}',
    "Infinity": '{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": -Infinity}}',
    "control": '{"jsonrpc": "2.0", "id": 1, "method": "pi\x00ng"}',
    "open": "[" * 60_000,
}


@pytest.mark.parametrize("frame", NO_JSON.values(), ids=NO_JSON.keys())
async def test_no_json(people: People, frame: str) -> None:
    client = await people.open()
    answer = await client.exchange(frame)
    assert answer["id"] is None
    assert reason(answer) == (-32700, "parse_error")
    assert (await client.call("ping"))["time"]


NESTED = {
    "arrays": "[" * 10_000 + "]" * 10_000,
    "params": '{"jsonrpc":"2.0","id":1,"method":"ping","params":' + '{"a":' * 10_000 + "1" + "}" * 10_000 + "}",
    "shallow": "[" * 900 + "]" * 900,
}


@pytest.mark.parametrize("frame", NESTED.values(), ids=NESTED.keys())
async def test_deep_nesting(people: People, frame: str) -> None:
    client = await people.open()
    answer = await client.exchange(frame)
    answer = answer[0] if isinstance(answer, list) else answer
    assert answer["error"]["code"] in {-32700, -32600, -32602}
    assert (await client.call("ping"))["time"]


@pytest.mark.parametrize("field", ["content", "nonce", "channel_id"])
async def test_half_a_surrogate_pair(people: People, field: str) -> None:
    room = await people.room()
    params = {"channel_id": room.channel_id, "content": "x", "nonce": "y", field: "HERE"}
    request = json.dumps({"jsonrpc": "2.0", "id": "x", "method": "add_message", "params": params})
    for half in ("\\ud800", "\\udfff", "\\udc00\\ud800"):
        answer = await room.owner.exchange(request.replace("HERE", half))
        assert answer["error"]["code"] in {-32700, -32602}
    assert (await room.owner.call("ping"))["time"]


NO_REQUEST: dict[str, Any] = {
    "number": 5,
    "text": "ping",
    "null": None,
    "true": True,
    "nothing": {},
    "no version": {"id": 1, "method": "ping"},
    "another version": {"jsonrpc": "1.0", "id": 1, "method": "ping"},
    "version as a number": {"jsonrpc": 2.0, "id": 1, "method": "ping"},
    "no method": {"jsonrpc": "2.0", "id": 1},
    "method as a number": {"jsonrpc": "2.0", "id": 1, "method": 5},
    "method null": {"jsonrpc": "2.0", "id": 1, "method": None},
    "method as a list": {"jsonrpc": "2.0", "id": 1, "method": ["ping"]},
    "method as an object": {"jsonrpc": "2.0", "id": 1, "method": {"$ne": None}},
    "id as an object": {"jsonrpc": "2.0", "id": {}, "method": "ping"},
    "id as a list": {"jsonrpc": "2.0", "id": [1], "method": "ping"},
    "id as a bool": {"jsonrpc": "2.0", "id": True, "method": "ping"},
    "a response": {"jsonrpc": "2.0", "id": 1, "result": {}},
}


@pytest.mark.parametrize("request_", NO_REQUEST.values(), ids=NO_REQUEST.keys())
async def test_no_request(people: People, request_: Any) -> None:
    client = await people.open()
    answer = await client.exchange(json.dumps(request_))
    assert reason(answer) == (-32600, "invalid_request")
    assert answer["id"] in {None, 1}
    (within,) = await client.exchange(json.dumps([request_]))
    assert reason(within) == (-32600, "invalid_request")
    assert (await client.call("ping"))["time"]


@pytest.mark.parametrize("number", [0, -1, 7, 1.5, 2**53, -(2**53), "", "text", "é☃", "7", "x" * 200])
async def test_an_answer_has_the_id_of_its_request(people: People, number: Any) -> None:
    client = await people.open()
    answer = await client.exchange(json.dumps({**PING, "id": number}))
    assert answer["id"] == number
    assert type(answer["id"]) is type(number)
    assert answer["result"]["time"]


@pytest.mark.parametrize("number", [2**63, 2**64, 2**70, -(2**70), 10**300])
async def test_a_huge_id_is_given_back_or_refused(people: People, number: int) -> None:
    client = await people.open()
    answer = await client.exchange(json.dumps({**PING, "id": number}))
    if "error" in answer:
        assert answer["error"]["code"] in {-32700, -32600}
    else:
        assert float(answer["id"]) == float(number)  # JSON promises no more of a number
    assert (await client.call("ping"))["time"]


UNKNOWN = [
    "",
    "pong",
    "PING",
    " ping",
    "ping ",
    "ping\x00",
    "__init__",
    "rpc.ping",
    "ping.*",
    ">",
    "*",
    "x" * 1000,
    "ü",
]
INTERNAL = [name for name, method in METHODS.items() if method.internal]


@pytest.mark.parametrize("method", [*UNKNOWN, *INTERNAL])
async def test_no_such_method(people: People, method: str) -> None:
    client = await people.connect(await people.anybody())
    refusal = await refused(client.call(method))
    assert (refusal.code, refusal.reason) == (-32601, "method_not_found")
    assert (await client.call("ping"))["time"]


# Batches.


async def test_an_empty_batch(people: People) -> None:
    client = await people.open()
    assert reason(await client.exchange("[]")) == (-32600, "invalid_request")


async def test_fifty_are_a_batch_and_one_more_is_none(people: People) -> None:
    client = await people.open()
    answers = await client.exchange(json.dumps([{**PING, "id": f"{number}"} for number in range(50)]))
    assert {answer["id"] for answer in answers} == {f"{number}" for number in range(50)}
    assert all(answer["result"]["time"] for answer in answers)
    refusal = await client.exchange(json.dumps([{**PING, "id": f"{number}"} for number in range(51)]))
    assert reason(refusal) == (-32600, "invalid_request")
    assert refusal["id"] is None
    assert (await client.call("ping"))["time"]


async def test_a_batch_of_all_kinds(people: People) -> None:
    room = await people.room()
    batch: list[Any] = [
        {**PING, "id": "good"},
        5,
        {"jsonrpc": "2.0", "method": "add_message", "params": {"channel_id": room.channel_id, "content": "silent"}},
        {"jsonrpc": "2.0", "id": "unknown", "method": "nonsense"},
        {"jsonrpc": "2.0", "method": "nonsense"},
        {"jsonrpc": "2.0", "id": "bad", "method": "get_server", "params": {"server_id": 5}},
        [],
        {"jsonrpc": "2.0", "id": "not mine", "method": "get_server", "params": {"server_id": "0" * 24}},
    ]
    answers = await room.owner.exchange(json.dumps(batch))
    by_id = {answer["id"]: answer for answer in answers if answer["id"] is not None}
    assert by_id["good"]["result"]["time"]
    assert reason(by_id["unknown"]) == (-32601, "method_not_found")
    assert reason(by_id["bad"]) == (-32602, "invalid_params")
    assert reason(by_id["not mine"]) == (4040, "not_found")
    nameless = [answer for answer in answers if answer["id"] is None]
    assert [reason(answer) for answer in nameless] == [(-32600, "invalid_request")] * 2
    assert len(answers) == 6
    assert (await room.member.event("message_added")).params["message"]["content"] == "silent"


async def test_nothing_answers_notifications(people: People) -> None:
    """Right or wrong, alone or in a batch; they run all the same."""
    room = await people.room()
    wrong: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "method": "nonsense"},
        {"jsonrpc": "2.0", "method": "get_server", "params": {"server_id": 5}},
        {"jsonrpc": "2.0", "method": "get_server", "params": {"server_id": "0" * 24}},
    ]
    for frame in (*wrong, wrong):
        await room.owner.send_raw(json.dumps(frame))
    await room.owner.notify("add_message", channel_id=room.channel_id, content="silent")
    await room.member.event("message_added")
    assert (await room.owner.exchange(json.dumps({**PING, "id": "marker"})))["id"] == "marker"


# Frames.


async def test_a_frame_of_64_kib_is_taken_and_one_byte_more_closes(people: People) -> None:
    client = await people.open()
    frame = json.dumps(PING)
    answer = await client.exchange(frame + " " * (LARGEST - len(frame)))
    assert answer["result"]["time"]
    await client.send_raw(frame + " " * (LARGEST + 1 - len(frame)))
    assert await client.closed() == 1009


async def test_fragments_count_together(people: People) -> None:
    client = await people.open()
    whole = json.dumps(PING)
    await client.send_raw([whole[:10], whole[10:]])
    assert (await client.answer())["result"]["time"]
    await client.send_raw([" " * 20_000] * 4)
    assert await client.closed() == 1009


async def test_a_large_frame_closes_an_authenticated_connection_too(people: People) -> None:
    room = await people.room()
    await room.owner.send_raw(json.dumps({**PING, "params": {"x": "x" * LARGEST}}))
    assert await room.owner.closed() == 1009
    assert (await room.member.call("ping"))["time"]


async def test_a_binary_frame_closes(people: People) -> None:
    for client in (await people.open(), await people.connect(await people.anybody())):
        await client.send_raw(json.dumps(PING).encode())
        assert await client.closed() == 1003


async def test_a_text_frame_that_is_no_utf8_closes(people: People) -> None:
    client = await people.open()
    await client.send_raw(b'{"jsonrpc": "2.0", "id": 1, "method": "\xff"}', text=True)
    assert await client.closed() == 1007


async def test_one_bad_frame_harms_no_other_request(people: People) -> None:
    room = await people.room()
    pending = [await room.owner.send("add_message", channel_id=room.channel_id, content=f"{n}") for n in range(5)]
    await room.owner.send_raw("{")
    pending += [await room.owner.send("add_message", channel_id=room.channel_id, content=f"{n}") for n in range(5, 10)]
    assert reason(await room.owner.answer()) == (-32700, "parse_error")
    outcomes = [await future for future in pending]
    assert not [outcome for outcome in outcomes if isinstance(outcome, RpcError)]
    assert [outcome["id"] for outcome in outcomes] == list(range(1, 11))


async def test_who_goes_on_sending_is_told_the_code_all_the_same(people: People) -> None:
    """What still comes is read until the client has closed too, or its sending would end in a reset connection."""
    for _ in range(10):
        client = await people.connect(await people.register())
        with suppress(Closed):
            for number in range(60):
                await client.send_raw(json.dumps({**PING, "id": f"{number}", "method": "ping" if number else "logout"}))
        assert await client.closed() == 4002


async def test_compression_is_offered_in_vain(people: People) -> None:
    """Nothing is deflated: shared frames are sent as they are, and memory stays small."""
    async with connect(people.system.url(), compression="deflate", proxy=None) as socket:
        await socket.send(json.dumps(PING))
        assert json.loads(await socket.recv())["id"] == "p"
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_a_protocol_ping_is_answered(people: People) -> None:
    async with connect(people.system.url(), proxy=None) as socket:
        assert await asyncio.wait_for(await socket.ping(), 5) < 5
