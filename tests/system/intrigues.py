"""Users who change each other's rights: what they say, and what becomes of channels, roles and members."""

from __future__ import annotations

from typing import Any

from tests.system.court import Court, Step
from tests.system.who_sees import Channel

RULES = (
    "view_channel",
    "send_messages",
    "manage_channels",
    "manage_roles",
    "administrator",
    "kick_members",
    "ban_members",
)
MOST_CHANNELS, MOST_ROLES, MOST_CATEGORIES = 5, 4, 2

KINDS = (
    *(["say"] * 6 + ["edit", "unsay"]),
    *(["add_channel"] * 2 + ["hide", "show", "rename", "move", "drop_channel", "drop_channel"]),
    *["add_category", *["drop_category", "rename_category"] * 2],
    *(["add_role", "set_rules", "drop_role"] + ["give_roles"] * 4),
    *(["join"] * 3 + ["leave"] * 3 + ["kick", "ban", "unban", "hand_over"]),
    *["go", "come", "come", "lag", "trail"],
)


class Intrigues(Court):
    # Messages.

    async def _say(self, step: Step) -> None:
        channel = self._a_channel(step)
        if channel is None:
            return
        word = self._words.new(step.user)
        self._words.put(word, channel)
        said = await self._try(step.user, "add_message", channel_id=channel, content=word)
        if said:
            self._messages.append((channel, said["id"], step.user))
            self._said(step.user, channel, said["id"])

    def _said(self, user: int, channel: str, message: int) -> None:
        """Something was said, under this number."""

    async def _edit(self, step: Step) -> None:
        picked = self._pick(self._messages, step.target)
        if picked is None:
            return
        channel, message, author = picked
        word = self._words.new(author)
        self._words.put(word, channel)
        await self._try(author, "update_message", channel_id=channel, message_id=message, content=word)

    async def _unsay(self, step: Step) -> None:
        picked = self._pick(self._messages, step.target)
        if picked is not None:
            channel, message, author = picked
            if await self._try(author, "delete_message", channel_id=channel, message_id=message) is not None:
                self._messages.remove(picked)

    # Channels and categories.

    async def _add_channel(self, step: Step) -> None:
        if len(self._server.channels) >= MOST_CHANNELS:
            return
        word, hidden = self._words.new(step.user), step.other % 2
        role = self._a_role(step.target)
        category = self._pick([None, *sorted(self._server.categories)], step.target)
        deny = {self._server.everyone: ["view_channel"]} if hidden else {}
        allow = {role: ["view_channel"]} if hidden and role else {}
        overwrites = _overwrites(allow, deny)
        made = await self._try(
            step.user,
            "add_channel",
            server_id=self._id,
            name=word,
            category_id=category,
            **({"roles": overwrites} if hidden else {}),
        )
        if made:
            self._words.put(word, made["id"])
            self._server.channels[made["id"]] = _channel(category, overwrites if hidden else [])

    async def _hide(self, step: Step) -> None:
        await self._overwrite(step, "deny")

    async def _show(self, step: Step) -> None:
        await self._overwrite(step, "allow")

    async def _overwrite(self, step: Step, what: str) -> None:
        channel = self._a_channel(step)
        role = self._pick(list(self._server.roles), step.other)
        if channel is None or role is None:
            return
        keeper = self._a_role(step.target)
        allow = (
            {role: ["view_channel"]}
            if what == "allow"
            else ({keeper: ["view_channel"]} if keeper and keeper != role else {})
        )
        overwrites = _overwrites(allow, {role: ["view_channel"]} if what == "deny" else {})
        if await self._try(step.user, "update_channel", channel_id=channel, changes={"roles": overwrites}):
            self._server.channels[channel] = _channel(self._server.channels[channel].category, overwrites)

    async def _rename(self, step: Step) -> None:
        if (channel := self._a_channel(step)) is not None:
            word = self._words.new(step.user)
            self._words.put(word, channel)
            await self._try(
                step.user, "update_channel", channel_id=channel, changes={"name": word, "description": word}
            )

    async def _move(self, step: Step) -> None:
        channel = self._a_channel(step)
        category = self._pick([None, *sorted(self._server.categories)], step.other)
        if channel and await self._try(
            step.user, "update_channel", channel_id=channel, changes={"category_id": category}
        ):
            self._server.channels[channel].category = category

    async def _drop_channel(self, step: Step) -> None:
        channel = self._a_channel(step)
        if (
            channel
            and len(self._server.channels) > 1
            and await self._try(step.user, "delete_channel", channel_id=channel) is not None
        ):
            del self._server.channels[channel]
            self._messages = [each for each in self._messages if each[0] != channel]

    async def _add_category(self, step: Step) -> None:
        if len(self._server.categories) >= MOST_CATEGORIES:
            return
        word = self._words.new(step.user)
        made = await self._try(step.user, "add_category", server_id=self._id, name=word)
        if made:
            self._words.put(word, made["id"])
            self._server.categories.add(made["id"])

    async def _rename_category(self, step: Step) -> None:
        if category := self._pick(sorted(self._server.categories), step.target):
            word = self._words.new(step.user)
            self._words.put(word, category)
            await self._change(step.user, "update_category", category_id=category, changes={"name": word})

    async def _drop_category(self, step: Step) -> None:
        category = self._pick(sorted(self._server.categories), step.target)
        if category and await self._change(step.user, "delete_category", category_id=category):
            self._server.delete_category(category)

    # Roles and members.

    async def _add_role(self, step: Step) -> None:
        if len(self._server.roles) > MOST_ROLES:
            return
        word, rules = self._words.new(step.user), _some_rules(step)
        self._words.put(word, self._server.everyone)
        made = await self._try(step.user, "add_role", server_id=self._id, name=word, color="", rules=rules)
        if made:
            self._server.roles[made["id"]] = frozenset(rules)

    async def _set_rules(self, step: Step) -> None:
        role, rules = self._pick(list(self._server.roles), step.target), _some_rules(step)
        if role and await self._change(step.user, "update_role", role_id=role, changes={"rules": rules}):
            self._server.roles[role] = frozenset(rules)

    async def _drop_role(self, step: Step) -> None:
        role = self._a_role(step.target)
        if role and await self._change(step.user, "delete_role", role_id=role):
            self._server.delete_role(role)

    async def _give_roles(self, step: Step) -> None:
        roles = [role for index, role in enumerate(self._server.roles) if index and step.other >> index & 1]
        user = step.target % 4
        changes = {"roles": roles}
        if await self._change(step.user, "update_member", user_id=self._people[user].id, changes=changes):
            self._server.members[user] = set(roles)

    async def _join(self, step: Step) -> None:
        if await self._try(step.user, "join_server", invite=self._code):
            self._server.members.setdefault(step.user, set())

    async def _leave(self, step: Step) -> None:
        if await self._change(step.user, "leave_server"):
            self._server.members.pop(step.user, None)

    async def _kick(self, step: Step) -> None:
        user = step.target % 4
        if await self._change(step.user, "delete_member", user_id=self._people[user].id):
            self._server.members.pop(user, None)

    async def _ban(self, step: Step) -> None:
        user = step.target % 4
        if await self._change(step.user, "add_ban", user_id=self._people[user].id):
            self._server.members.pop(user, None)
            self._server.banned.add(user)

    async def _unban(self, step: Step) -> None:
        user = step.target % 4
        if await self._change(step.user, "delete_ban", user_id=self._people[user].id):
            self._server.banned.discard(user)

    async def _hand_over(self, step: Step) -> None:
        heir = step.target % 4
        changes = {"owner_id": self._people[heir].id}
        if await self._change(self._server.owner, "update_server", changes=changes):
            self._server.owner = heir


def _some_rules(step: Step) -> list[str]:
    """Mostly with sight, sometimes with more."""
    return [
        rule for index, rule in enumerate(RULES) if (step.other if index else step.other | step.target) >> index & 1
    ]


def _overwrites(allow: dict[str, list[str]], deny: dict[str, list[str]]) -> list[dict[str, Any]]:
    roles = dict.fromkeys([*allow, *deny])
    return [{"role_id": role, "allow": allow.get(role, []), "deny": deny.get(role, [])} for role in roles]


def _channel(category: str | None, overwrites: list[dict[str, Any]]) -> Channel:
    allow = {each["role_id"]: frozenset(each["allow"]) for each in overwrites}
    return Channel(category, allow, {each["role_id"]: frozenset(each["deny"]) for each in overwrites})
