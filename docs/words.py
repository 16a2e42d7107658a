"""What the pages say in words about methods, events and errors; all else in them comes from the contracts."""

from __future__ import annotations

from shared.protocol.contract import Audience

TITLES = {
    "connection": "Connections",
    "account": "Accounts and users",
    "category": "Categories",
    "typing_sign": "Typing",
    "read": "Read states",
    "direct": "Direct channels",
    "settings": "Settings",
}
"""The heading over what a module of contracts declares, where it is not simply its name in the plural."""

PURPOSES = {
    "register": "Makes an account and logs in to it. `conflict`: the name is taken.",
    "login": "Makes a session of an account. `unauthenticated`: wrong name or wrong password, it is not said which.",
    "authenticate": "Says whose connection this is. From the reply on it is told the events of `self`, of every server "
    "you are in, of their channels that you see, and of your direct channels. With `resume`, your positions in what "
    "you hold already, it is also told what you missed; `members` are the servers whose members you have loaded. "
    "`conflict`: this connection is authenticated already.",
    "logout": "Ends the session. All its connections close with 4002, this one after the reply.",
    "get_user": "A public profile; without `user_id`, your own.",
    "resume": "More of a cache that was too large for one `authenticate`; any number of times within a minute of it.",
    "forget": "No more events of these `user:` scopes.",
    "get_sessions": "Your sessions, the last used first.",
    "delete_session": "Ends a session of yours; its connections close with 4002.",
    "get_users": "Of these users, those newer than the revision given; you are told of all of them from then on.",
    "update_user": "Changes your profile. A new `password` ends all your other sessions; `forbidden`: the old one is "
    "wrong.",
    "delete_user": "Deletes your account and ends all its sessions, this one after the reply. The name is free again; "
    "what you wrote stays, by a `Deleted user`. `forbidden`: wrong password. `conflict`: you own a server.",
    "get_friends": "Your friends, those you asked or who asked you, whom you block and who blocks you; at most 1000. "
    "`next_anchor` is the `anchor` of the next page, where they are too large for one reply.",
    "add_friend": "Asks somebody to be your friend; makes you friends if they have asked you. `forbidden`: they block "
    "you. `conflict`: you are friends, or have asked, or block them, or a list is full.",
    "update_friend": "`friend` accepts a request; `blocked` blocks anybody, which ends a friendship or request. "
    "Twice is once.",
    "delete_friend": "Declines, cancels, unfriends or unblocks; twice is once. Somebody else's block stays.",
    "get_settings": "Your settings: the client's own JSON, the same on all your devices; `{}` before there are any.",
    "update_settings": "Replaces your settings, as a whole. The same again changes nothing.",
    "get_server_members": "Members in the order of their shown names. From the reply on this connection is told the "
    "server's member events. A page may be short, for no reply is larger than 512 KiB, with a `filter` even empty, and "
    "yet have a `next_anchor`; with a `filter` there is no delta.",
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
    "update_server": "Changes it. Needs `manage_server`; `owner_id` only the owner sends, and names another member "
    "whose account still exists.",
    "delete_server": "Deletes it, for everybody at once; twice is once. Only the owner does.",
    "get_server_channel": "One channel, with its overwrites as `roles`.",
    "add_channel": "Makes a channel; without `position`, the last one. Needs `manage_channels`; with overwrites in "
    "`roles` also `manage_roles`, and each rule that they allow or deny. `conflict`: the server has 500 channels, "
    "or 5,000 overwrites in all of them.",
    "update_channel": "Changes or moves it. Needs `manage_channels` there. `roles` replaces all overwrites: it needs "
    "`manage_roles` as well, and in this channel every rule that is allowed or denied anew, or no longer. `conflict`: "
    "the server's channels would have more than 5,000 overwrites.",
    "delete_channel": "Deletes it with all that was said in it. Needs `manage_channels` there. Twice is once, for who "
    "did it and for who has `manage_channels` in the server.",
    "add_category": "Makes a category; without `position`, the last one. Needs `manage_channels`. "
    "`conflict`: the server has 50 categories already.",
    "update_category": "Changes or moves it. Needs `manage_channels`.",
    "delete_category": "Deletes it; its channels stay, moved out in the same change. Twice is once. "
    "Needs `manage_channels`.",
    "get_server_roles": "The roles in the order of position and id; with `user_id` that member's, `everyone` among "
    "them (then without `since`).",
    "add_role": "Makes a role, which ranks lowest. Needs `manage_roles`, and every rule that is put into it. "
    "`conflict`: the server has 250 roles already.",
    "update_role": "Changes or moves a role below your own highest. Needs `manage_roles`, and every rule that is "
    "added. `conflict`: `everyone` keeps its name and its place.",
    "delete_role": "Deletes a role below your own highest; every member and channel has lost it with that. Twice is "
    "once. Needs `manage_roles`. `conflict`: `everyone` stays.",
    "update_member": "Changes a nick (one's own is free; another's needs `manage_roles` and a higher rank) or roles "
    "(needs `manage_roles`; what is given and taken ranks below your own highest, and what is given has no rule that "
    "you lack, nor is allowed one by a channel in which you lack it).",
    "delete_member": "Removes a member who ranks below you; twice is once. Needs `kick_members`. "
    "`conflict`: nobody removes themselves.",
    "get_invites": "The invites that can still be used. Needs `manage_server`.",
    "delete_invite": "Takes an invite back; twice is once. Needs `manage_server`, unless you made it.",
    "add_ban": "Keeps a user out, member or not: removes a member who ranks below you, and takes back the invites they "
    "made. Twice is once: the first ban stands. Needs `ban_members`. `conflict`: nobody bans themselves.",
    "delete_ban": "Ends a ban; twice is once. Needs `ban_members`.",
    "get_bans": "Who is banned, the newest first. Needs `ban_members`.",
    "add_message": "Writes a message. Needs `send_messages`. `<@user_id>` in `content` mentions that user, and "
    "`@everyone` all, for who has `mention_everyone`.",
    "get_message_chunk": "A page of messages, in ascending order. `anchor` and `direction` are required where `around` "
    "is not given. A page may be shorter than `amount`, for no reply is larger than 512 KiB: `has_more` tells.",
    "update_message": "Changes the text. `forbidden` to all but the author. The same text again changes nothing.",
    "delete_message": "Deletes a message; twice is once. Needs `manage_messages` for another's.",
    "add_reaction": "Adds your reaction to a message; twice is once. Needs `add_reactions`. "
    "`conflict`: the message has 20 kinds already.",
    "delete_reaction": "Takes your reaction back; twice is once.",
    "start_typing": "Tells those who see the channel that you are typing. Needs `send_messages`. Say it again every "
    "few seconds: what comes within 3 s of the last is not passed on.",
    "get_read_states": "How far you have read, and how many messages beyond name you. Where you have read nothing "
    "since you joined, that is the last message of then. `conflict`: too many for one reply; ask by `server_id`.",
    "update_read_state": "Says how far you have read. It never moves backwards: a lower id changes nothing. Your own "
    "messages are read without it.",
    "get_direct_channels": "The direct channels that you have open. `conflict`: too many for one reply; leave some.",
    "add_direct_channel": "Opens the channel between you and these people, the same one each time; they hear of it "
    "with the first message. `forbidden`: one of them is neither your friend nor in a server with you. `conflict`: "
    "you have 500 open already.",
    "leave_direct_channel": "Closes a channel of two until its next message; takes you out of one of more, until "
    "somebody adds the same people anew. Twice is once.",
}
"""What each method does."""

REFUSALS = {
    "register": ("conflict",),
    "login": ("unauthenticated",),
    "authenticate": ("unauthenticated", "conflict"),
    "get_user": ("not_found",),
    "update_user": ("forbidden",),
    "delete_user": ("forbidden", "conflict"),
    "add_friend": ("forbidden", "not_found", "conflict"),
    "update_friend": ("not_found", "conflict"),
    "get_server": ("not_found",),
    "update_server": ("forbidden", "not_found", "conflict"),
    "delete_server": ("forbidden", "not_found"),
    "add_server": ("conflict",),
    "join_server": ("not_found", "conflict"),
    "leave_server": ("conflict",),
    "add_invite": ("forbidden", "not_found", "conflict"),
    "get_invites": ("forbidden", "not_found"),
    "delete_invite": ("forbidden", "not_found"),
    "get_server_channels": ("forbidden", "not_found"),
    "get_server_channel": ("not_found",),
    "add_channel": ("forbidden", "not_found", "conflict"),
    "update_channel": ("forbidden", "not_found", "conflict"),
    "delete_channel": ("forbidden", "not_found"),
    "add_category": ("forbidden", "not_found", "conflict"),
    "update_category": ("forbidden", "not_found", "conflict"),
    "delete_category": ("forbidden", "not_found"),
    "get_server_roles": ("not_found",),
    "add_role": ("forbidden", "not_found", "conflict"),
    "update_role": ("forbidden", "not_found", "conflict"),
    "delete_role": ("forbidden", "not_found", "conflict"),
    "get_server_members": ("not_found",),
    "update_member": ("forbidden", "not_found", "conflict"),
    "delete_member": ("forbidden", "not_found", "conflict"),
    "add_ban": ("forbidden", "not_found", "conflict"),
    "delete_ban": ("forbidden", "not_found"),
    "get_bans": ("forbidden", "not_found"),
    "add_message": ("forbidden", "not_found"),
    "add_reaction": ("forbidden", "not_found", "conflict"),
    "delete_reaction": ("not_found",),
    "start_typing": ("forbidden", "not_found"),
    "get_read_states": ("not_found", "conflict"),
    "update_read_state": ("not_found",),
    "get_direct_channels": ("conflict",),
    "add_direct_channel": ("forbidden", "not_found", "conflict"),
    "leave_direct_channel": ("not_found",),
    "get_message_chunk": ("not_found",),
    "update_message": ("forbidden", "not_found"),
    "delete_message": ("forbidden", "not_found"),
}
"""Why a method may be refused, beyond what any method answers; the examples show some."""

SCOPES = {
    "user_changed": "user",
    "friend_added": "self",
    "friend_changed": "self",
    "friend_deleted": "self",
    "settings_changed": "self",
    "server_added": "self",
    "server_updated": "server",
    "server_deleted": "self",
    "channel_added": "server",
    "channel_updated": "server",
    "channel_deleted": "server",
    "category_added": "server",
    "category_updated": "server",
    "category_deleted": "server",
    "role_added": "server",
    "role_changed": "server",
    "role_deleted": "server",
    "member_added": "server",
    "member_changed": "server",
    "member_deleted": "server",
    "message_added": "channel",
    "message_changed": "channel",
    "message_deleted": "channel",
    "read_changed": "self",
    "direct_channel_added": "self",
    "direct_channel_deleted": "self",
}
"""The kind of scope that each event belongs to."""

EVENT_NOTES = {
    "message_added": "To its author, and to nobody else, `message` also has the `nonce` that came with it.",
    "channel_added": "Also when a channel comes into your sight, whatever caused it.",
    "channel_deleted": "Also when a channel goes out of your sight, whatever caused it.",
    "category_added": "Also when a category comes into your sight.",
    "category_deleted": "Also when a category goes out of your sight.",
}

AUDIENCES = {
    Audience.SCOPE: "every connection that holds the scope",
    Audience.MEMBERS: "connections that loaded the server's members, and the member it is about",
    Audience.VIEWERS: "every connection of who sees it",
    Audience.OWN: "one's own connections",
}

UNSCOPED = {
    "typing_started": "every connection that sees the channel",
    "reconnect": "each connection of a gateway that goes away",
    "resumed": "the connection that comes back",
    "forgotten": "the connection that has heard of too many",
}
"""Who is told of an event that belongs to no scope."""

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
    "rate_limited": "Asked too often: on this connection, by this user, from this address, or by all about this "
    "server. Also changes that let members of a server see more, while as many are being worked off there as readers "
    "can reckon with: a hundred, or fewer that are about many channels. Nothing has happened. `data.retry_after_ms`: "
    "ask again after so long.",
    "unavailable": "A part is down or slow. The outcome is unknown: ask again, an `add_*` with the same `nonce`.",
    "internal": "A fault of ours; it was logged under `data.request_id`.",
}
