"""The story that the pages tell: Ann makes a server, Bob joins it, Eve looks in; each method and event comes in it."""

from __future__ import annotations

from signal import SIGTERM

from tests.docs.scene import Scene
from tests.rig import System

ENV = {"gateway": {"USERS_PER_CONNECTION": "3", "DRAIN_SECONDS": "10", "STATUS_GRACE": "3600"}}
"""So that a fourth user makes a connection forget the first, that who is told to reconnect has the usual time, and
that nobody goes offline in between.
"""

PASSWORD = "correct horse"


async def play(system: System) -> Scene:
    scene = Scene(system)
    try:
        for act in ACTS:
            await act(scene)
    finally:
        await scene.close()
    return scene


async def accounts(scene: Scene) -> None:
    for number, who in enumerate(("ann", "bob", "eve", "dan")):
        await scene.enter(who, number % 2)
    made = await scene.play("Ann makes an account", "ann", "register", name="ann", password=PASSWORD, device="phone")
    await scene.refused("The name is taken", "bob", "register", name="ann", password=PASSWORD)
    scene.places["ann"], scene.places["token"] = made["user"]["id"], made["token"]
    await scene.refused(
        "Nobody is told whether name or password is wrong", "ann", "login", name="ann", password="battery staple"
    )
    await scene.play("Ann logs in on another device", "ann", "login", name="ann", password=PASSWORD, device="desk")
    await scene.refused("Not before authenticate", "ann", "get_user")
    await scene.play("Ann is connected", "ann", "authenticate", token=made["token"])
    await scene.refused("Once is enough", "ann", "authenticate", token=made["token"])
    for who in ("bob", "eve", "dan"):
        made = await scene.aside(who, "register", name=who, password=PASSWORD, display_name=who.capitalize())
        scene.places[who] = made["user"]["id"]
        await scene.aside(who, "authenticate", token=made["token"])
        scene.places[f"{who}'s token"] = made["token"]
    await scene.play("What time is it?", "ann", "ping")


async def servers(scene: Scene) -> None:
    at = scene.places
    made = await scene.play(
        "Ann makes a server", "ann", "add_server", {"server_added": "ann"},
        name="Tea house", description="Hot drinks", nonce="ann-1",
    )  # fmt: skip
    at["server"] = made["id"]
    await scene.play("Ann loads its members", "ann", "get_server_members", server_id=at["server"], amount=50)
    invite = await scene.play(
        "Ann makes an invite", "ann", "add_invite", server_id=at["server"], max_uses=10, expires_in=86_400
    )
    at["invite"] = invite["code"]
    await scene.play("Ann lists the invites", "ann", "get_invites", server_id=at["server"])
    await scene.play("Bob looks at the server before he joins", "bob", "get_server", invite=at["invite"])
    await scene.play(
        "Bob joins", "bob", "join_server", {"server_added": "bob", "member_added": "ann"}, invite=at["invite"]
    )
    await scene.refused("A code that is wrong", "eve", "join_server", invite="no-such-code")
    await scene.play("Bob reads his servers", "bob", "get_servers")
    server = await scene.play("Bob reads the server", "bob", "get_server", server_id=at["server"])
    await scene.play(
        "Ann describes it anew", "ann", "update_server", {"server_updated": "ann bob"},
        server_id=at["server"], changes={"description": "Tea, and cake"}, if_rev=server["rev"],
    )  # fmt: skip
    await scene.refused(
        "Somebody was quicker", "ann", "update_server",
        server_id=at["server"], changes={"name": "Coffee house"}, if_rev=0,
    )  # fmt: skip
    await scene.play("Bob asks what has changed", "bob", "get_server", server_id=at["server"], since=server["rev"])
    await scene.refused("Bob may not rename it", "bob", "update_server", server_id=at["server"], changes={"name": "x"})
    await scene.refused("Eve sees no such server", "eve", "get_server", server_id=at["server"])
    await scene.play("Ann asks what has changed", "ann", "get_servers", since=1)


async def categories(scene: Scene) -> None:
    at = scene.places
    named = {"server_id": at["server"]}
    made = await scene.play(
        "Ann makes a category", "ann", "add_category", {"category_added": "ann"}, **named, name="Kinds"
    )
    at["category"] = made["id"]
    named["category_id"] = at["category"]
    await scene.play(
        "Ann renames it",
        "ann",
        "update_category",
        {"category_updated": "ann"},
        **named,
        changes={"name": "Kinds of tea"},
    )
    await scene.refused("Bob may not delete it", "bob", "delete_category", **named)


async def channels(scene: Scene) -> None:
    at = scene.places
    listed = await scene.play("Bob lists the channels", "bob", "get_server_channels", server_id=at["server"])
    at["general"] = listed["categories"][0]["channels"][0]["id"]
    made = await scene.play(
        "Ann makes a channel", "ann", "add_channel", {"category_added": "bob", "channel_added": "ann bob"},
        server_id=at["server"], name="green", category_id=at["category"], nonce="ann-2",
    )  # fmt: skip
    at["channel"] = made["id"]
    await scene.play(
        "Ann describes it", "ann", "update_channel", {"channel_updated": "ann bob"},
        channel_id=at["channel"], changes={"description": "Sencha, gyokuro"},
    )  # fmt: skip
    await scene.play("Bob reads it", "bob", "get_server_channel", channel_id=at["channel"])
    await scene.play(
        "Bob asks what has changed", "bob", "get_server_channels", server_id=at["server"], since=listed["rev"]
    )
    await scene.play(
        "Bob asks whether it has changed", "bob", "get_server_channel", channel_id=at["channel"], since=made["rev"]
    )
    await scene.refused("Eve sees no such channel", "eve", "get_server_channel", channel_id=at["channel"])
    await scene.refused("Bob may not make one", "bob", "add_channel", server_id=at["server"], name="black")


async def roles(scene: Scene) -> None:
    at = scene.places
    listed = await scene.play("Bob lists the roles", "bob", "get_server_roles", server_id=at["server"])
    at["everyone"] = listed["roles"][0]["id"]
    made = await scene.play(
        "Ann makes a role", "ann", "add_role", {"role_added": "ann bob"},
        server_id=at["server"], name="Hosts", color="#3a7d44", rules=["kick_members"],
    )  # fmt: skip
    at["role"] = made["id"]
    named = {"server_id": at["server"], "role_id": made["id"]}
    await scene.play(
        "Ann lets it do more", "ann", "update_role", {"role_changed": "ann bob"},
        **named, changes={"rules": ["kick_members", "manage_messages"]},
    )  # fmt: skip
    await scene.play(
        "Bob asks what has changed", "bob", "get_server_roles", server_id=at["server"], since=listed["rev"]
    )
    await scene.refused("Bob may not delete it", "bob", "delete_role", **named)
    await scene.refused("The role everyone stays", "ann", "delete_role", server_id=at["server"], role_id=at["everyone"])


async def members(scene: Scene) -> None:
    at = scene.places
    page = await scene.play("Ann reads the members", "ann", "get_server_members", server_id=at["server"], amount=1)
    await scene.play(
        "Ann reads the next page",
        "ann",
        "get_server_members",
        server_id=at["server"],
        amount=1,
        anchor=page["next_anchor"],
    )
    await scene.play(
        "Ann gives Bob the role", "ann", "update_member", {"member_changed": "ann bob"},
        server_id=at["server"], user_id=at["bob"], changes={"roles": [at["role"]], "nick": "Robert"},
    )  # fmt: skip
    await scene.play(
        "Ann asks what has changed", "ann", "get_server_members", server_id=at["server"], amount=50, since=page["rev"]
    )
    await scene.refused(
        "Bob does not rank above Ann", "bob", "delete_member", server_id=at["server"], user_id=at["ann"]
    )


async def messages(scene: Scene) -> None:
    at = scene.places
    here = {"channel_id": at["channel"]}
    await scene.play(
        "Bob writes", "bob", "add_message", {"message_added": "ann bob"},
        **here, content=f"Is there sencha, <@{at['ann']}>?", nonce="bob-1",
    )  # fmt: skip
    await scene.play(
        "Ann answers", "ann", "add_message", {"message_added": "ann bob"}, **here, content="There is.", reply_to=1
    )
    page = await scene.play(
        "Bob reads the newest page", "bob", "get_message_chunk", **here, amount=50, anchor=0, direction=False
    )
    await scene.play("Bob reads around a message", "bob", "get_message_chunk", **here, amount=1, around=2)
    await scene.play(
        "Ann edits hers",
        "ann",
        "update_message",
        {"message_changed": "ann bob"},
        **here,
        message_id=2,
        content="There was.",
    )
    await scene.refused("Bob may not", "bob", "update_message", **here, message_id=2, content="Never mind.")
    await scene.play(
        "Bob, who is a host now, deletes it",
        "bob",
        "delete_message",
        {"message_deleted": "ann bob"},
        **here,
        message_id=2,
    )
    await scene.play(
        "Bob asks what has changed", "bob", "get_message_chunk",
        **here, amount=50, anchor=0, direction=False, since=page["rev"],
    )  # fmt: skip
    await scene.refused("Eve sees no such channel", "eve", "add_message", **here, content="Hello?")
    await scene.refused("There must be something to say", "bob", "add_message", **here, content="")


async def reactions(scene: Scene) -> None:
    at = scene.places
    here = {"channel_id": at["channel"], "message_id": 1}
    await scene.play(
        "Ann likes what Bob wrote", "ann", "add_reaction", {"message_changed": "ann bob"}, **here, emoji="🍵"
    )
    await scene.play("Ann takes it back", "ann", "delete_reaction", {"message_changed": "ann bob"}, **here, emoji="🍵")
    await scene.refused(
        "There is no such message", "ann", "add_reaction", channel_id=at["channel"], message_id=99, emoji="🍵"
    )


async def reading(scene: Scene) -> None:
    at = scene.places
    await scene.play("Ann types", "ann", "start_typing", {"typing_started": "ann bob"}, channel_id=at["channel"])
    await scene.play("Bob asks how far he has read", "bob", "get_read_states", server_id=at["server"])
    await scene.play(
        "Bob has read all", "bob", "update_read_state", {"read_changed": "bob"}, channel_id=at["channel"], message_id=3
    )


async def direct_channels(scene: Scene) -> None:
    at = scene.places
    made = await scene.play(
        "Ann opens a channel with Bob",
        "ann",
        "add_direct_channel",
        {"direct_channel_added": "ann"},
        user_ids=[at["bob"]],
    )
    at["direct"] = made["id"]
    await scene.play(
        "Bob learns of it by the first message", "ann", "add_message",
        {"direct_channel_added": "bob", "message_added": "ann bob"}, channel_id=at["direct"], content="Between us",
    )  # fmt: skip
    await scene.play("Bob lists his", "bob", "get_direct_channels")
    await scene.play("Ann asks what has changed", "ann", "get_direct_channels", since=made["rev"] - 1)
    await scene.play(
        "Ann closes it", "ann", "leave_direct_channel", {"direct_channel_deleted": "ann"}, channel_id=at["direct"]
    )
    await scene.refused("Nobody writes to strangers", "eve", "add_direct_channel", user_ids=[at["ann"]])


async def users(scene: Scene) -> None:
    at = scene.places
    bob = await scene.play("Ann reads Bob's profile", "ann", "get_user", user_id=at["bob"])
    await scene.play(
        "Bob says how he is", "bob", "update_user", {"user_changed": "ann bob"}, changes={"status_text": "brewing"}
    )
    await scene.play("Ann asks whether it has changed", "ann", "get_user", user_id=at["bob"], since=bob["rev"])
    await scene.refused("There is no such user", "ann", "get_user", user_id="0" * 24)
    await scene.play(
        "Ann asks for more users than she can be told of", "ann", "get_users", {"forgotten": "ann"},
        users={at["bob"]: 0, at["eve"]: 0, at["dan"]: 0},
    )  # fmt: skip
    await scene.play("Ann has no need of Dan", "ann", "forget", scopes=[f"user:{at['dan']}"])


async def coming_back(scene: Scene) -> None:
    """Bob loses his connection, and hears what he missed on another gateway."""
    at = scene.places
    general, server = f"channel:{at['general']}", f"server:{at['server']}"
    positions = {server: (await scene.aside("bob", "get_server", server_id=at["server"]))["rev"], general: 0}
    await scene.leave("bob")
    await scene.play(
        "Ann writes while Bob is away", "ann", "add_message", {"message_added": "ann"},
        channel_id=at["general"], content="Bob?",
    )  # fmt: skip
    await scene.enter("bob", 0)
    await scene.play(
        "Bob comes back on another gateway", "bob", "authenticate", {"message_added": "bob", "resumed": "bob"},
        token=at["bob's token"], resume=positions,
    )  # fmt: skip
    await scene.play(
        "Bob names the rest of what he has", "bob", "resume", {"resumed": "bob"},
        scopes={f"user:{at['ann']}": 1, f"server:{'0' * 24}": 7},
    )  # fmt: skip


async def friends(scene: Scene) -> None:
    at = scene.places
    await scene.play("Dan asks Ann to be his friend", "dan", "add_friend", {"friend_added": "ann dan"}, name="ann")
    # So that he need not hear of himself, now or at the moment at which his connection closes.
    await scene.aside("dan", "forget", scopes=[f"user:{at['dan']}"])
    await scene.play(
        "Ann accepts",
        "ann",
        "update_friend",
        {"user_changed": "ann bob dan", "friend_changed": "ann dan"},
        user_id=at["dan"],
        state="friend",
    )
    await scene.refused("They are friends already", "dan", "add_friend", user_id=at["ann"])
    listed = await scene.play("Ann lists her friends", "ann", "get_friends")
    await scene.play(
        "Dan ends it", "dan", "delete_friend", {"user_changed": "ann bob dan", "friend_deleted": "ann dan"},
        user_id=at["ann"],
    )  # fmt: skip
    await scene.play("Ann asks what has changed", "ann", "get_friends", since=listed["rev"])
    await scene.play(
        "Ann sets what her client keeps", "ann", "update_settings", {"settings_changed": "ann"},
        settings={"muted": [at["general"]], "theme": "dark"},
    )  # fmt: skip
    kept = await scene.play("Ann reads it on another device", "ann", "get_settings")
    await scene.play("Ann asks whether it is another by now", "ann", "get_settings", since=kept["rev"])
    await scene.refused("Not without the password", "dan", "delete_user", password="battery staple")
    await scene.play("Dan deletes his account", "dan", "delete_user", {"user_changed": "ann"}, password=PASSWORD)
    assert await scene.ends("dan") == 4002


async def farewells(scene: Scene) -> None:
    at = scene.places
    here = {"server_id": at["server"]}
    await scene.play(
        "Bob leaves", "bob", "leave_server", {"server_deleted": "bob", "member_deleted": "ann bob"}, **here
    )
    await scene.refused("The owner can't leave", "ann", "leave_server", **here)
    await scene.aside("eve", "join_server", {"server_added": "eve", "member_added": "ann"}, invite=at["invite"])
    await scene.play(
        "Ann removes Eve", "ann", "delete_member", {"server_deleted": "eve", "member_deleted": "ann eve"},
        **here, user_id=at["eve"],
    )  # fmt: skip
    await scene.aside("eve", "join_server", {"server_added": "eve", "member_added": "ann"}, invite=at["invite"])
    await scene.play(
        "Ann bans Eve", "ann", "add_ban", {"server_deleted": "eve", "member_deleted": "ann eve"},
        **here, user_id=at["eve"], why="Poured the tea out",
    )  # fmt: skip
    await scene.refused("Who is banned can't come back", "eve", "join_server", invite=at["invite"])
    await scene.play("Ann lists who is banned", "ann", "get_bans", **here, amount=50)
    await scene.play("Ann lifts the ban", "ann", "delete_ban", **here, user_id=at["eve"])
    await scene.play("Ann withdraws the invite", "ann", "delete_invite", **here, code=at["invite"])


async def going_away(scene: Scene) -> None:
    """Eve alone is on the gateway that is stopped, so her time is the last there is."""
    await scene.enter("eve", 1)
    await scene.happens(
        "Eve's gateway goes away", {"reconnect": "eve"}, lambda: scene.system.signal("gateway-1", SIGTERM)
    )
    await scene.leave("eve")


async def endings(scene: Scene) -> None:
    at = scene.places
    here = {"server_id": at["server"]}
    await scene.play("Ann deletes the role", "ann", "delete_role", {"role_deleted": "ann"}, **here, role_id=at["role"])
    await scene.play(
        "Ann deletes the category, and its channel moves out", "ann", "delete_category",
        {"channel_updated": "ann", "category_deleted": "ann"}, **here, category_id=at["category"],
    )  # fmt: skip
    await scene.play(
        "Ann deletes the channel", "ann", "delete_channel", {"channel_deleted": "ann"}, channel_id=at["channel"]
    )
    await scene.play("Ann deletes the server", "ann", "delete_server", {"server_deleted": "ann"}, **here)
    sessions = await scene.play("Ann lists her sessions", "ann", "get_sessions")
    (other,) = (each["id"] for each in sessions["sessions"] if not each["current"])
    await scene.play("Ann ends the other", "ann", "delete_session", session_id=other)
    await scene.play("Ann logs out", "ann", "logout")
    assert await scene.ends("ann") == 4002


ACTS = (
    accounts, servers, categories, channels, roles, members, messages, reactions, reading, direct_channels, users,
    coming_back, friends, farewells, going_away, endings,
)  # fmt: skip
