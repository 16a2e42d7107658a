"""Kinds of weather: how often each thing goes wrong in a run, and how soon all must be well again."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Profile:
    """Chances are per operation, times in seconds. What is not named does not go wrong."""

    name: str
    seeds: int = 30
    """How many runs the tests make of it."""
    lasts: float = 1.6
    """How long it is before the weather clears up."""
    busy: float = 9.0
    """How long the clients act: when they stop earlier, no later entry shows that the last was lost."""
    heals_within: float = 5.0
    writers: int = 2
    gateways: int = 2
    strikes: tuple[float, float] = (0.1, 9.0)
    """Between which times processes die and connections are cut."""
    think: float = 0.12
    """A client's mean pause between two acts."""

    # The network.
    late: float = 0.1
    """Hints that take up to `latest` instead of a few milliseconds: what was sent later overtakes them."""
    latest: float = 0.15
    slow: float = 0.05
    """The same for requests and answers."""
    slow_database: float = 0.05
    slowest: float = 0.1
    slow_fetches: float = 0.0
    """Reads of missed entries that take the better part of a second."""
    hints_lost: float = 0.0
    notices_lost: float = 0.0
    hints_doubled: float = 0.05
    requests_lost: float = 0.0
    slow_sends: float = 0.0
    """Hints that stay in their process's buffer for up to `latest`."""
    slow_subscriptions: float = 0.2
    """A subscription takes effect only up to `subscription_delay` after it was flushed."""
    subscription_delay: float = 0.9
    gateways_cut: int = 0
    writers_cut: int = 0
    cut_lasts: float = 1.0

    # The database.
    database_errors: float = 0.0
    """Operations that do not reach it, and as many again whose answer does not come back."""
    commits_unanswered: float = 0.0
    commits_lost: float = 0.0
    """Those that die with the primary."""
    outages: int = 0
    stale_reads: float = 0.0

    prunings: int = 0
    """Of the journal, each by another process than the last; what is younger than two seconds stays."""

    # Processes.
    writers_killed: int = 0
    all_die: bool = False
    """Every service process is killed and replaced just before the weather clears up."""
    gateways_killed: int = 0

    # What clients do, as weights; and the mean pause between changes of the server's permissions.
    permissions_stand: float = 0.5
    rules_change: float = 0.0
    """Of these, how many may change anybody's sight."""
    resumes: float = 0.0
    """How often who was cut off goes on with the cache it had."""
    piecemeal: float = 0.0
    """Of its scopes, how many are resumed only later."""
    away: float = 0.0
    """Mean time until it comes back."""
    acts: dict[str, float] = field(
        default_factory=lambda: {
            "add_message": 8, "get_message_chunk": 2, "get_server": 1, "add_channel": 0.3,
            "join_or_leave": 1, "reconnect": 1,
        }
    )  # fmt: skip

    # Settings of the processes under test: small, so that every limit is met.
    settings: dict[str, float | str] = field(default_factory=dict)


CALM = Profile("calm", late=0.3)

LOSSY = Profile(
    "lossy", think=0.2, hints_lost=0.4, notices_lost=0.3, hints_doubled=0.2, late=0.3, permissions_stand=1.0
)
"""Hints are lost, and the notices that make up for them; nobody dies."""

BURSTS = Profile(
    "bursts",
    think=0.03,
    hints_lost=0.2,
    hints_doubled=0.2,
    late=0.5,
    lasts=0.8,
    acts={"add_message": 1},
    settings={"reorder_limit": 2, "gap_wait": 0.1},
)
"""More comes early than a feed may keep."""

DEADLY = Profile(
    "deadly",
    think=0.12,
    busy=1.4,
    writers_killed=4,
    all_die=True,
    database_errors=0.02,
    commits_unanswered=0.1,
    commits_lost=0.05,
    slow_sends=0.3,
    latest=0.3,
    slow_subscriptions=0.5,
    permissions_stand=1.0,
)
"""Services die in the middle of what they do; hints that were sent arrive."""

DARK = Profile(
    "dark",
    think=0.2,
    busy=1.4,
    hints_lost=0.5,
    notices_lost=0.5,
    writers_killed=2,
    all_die=True,
    heals_within=38.0,
    permissions_stand=1.0,
)
"""Hints are lost and who would repeat them dies: only the digest is left."""

CUT = Profile("cut", think=0.15, lasts=2.5, gateways_cut=2, writers_cut=2, outages=2, requests_lost=0.01)
"""Connections to NATS die without a word, and MongoDB is not to be reached."""

SEVERED = Profile("severed", writers=1, lasts=2.5, writers_cut=5, cut_lasts=0.8)
"""A service is cut off again and again."""

ISLAND = Profile(
    "island",
    think=0.2,
    busy=2.5,
    lasts=8.0,
    strikes=(1.5, 2.2),
    gateways_cut=1,
    cut_lasts=10.0,
    acts={"add_message": 8, "get_message_chunk": 1},
    permissions_stand=1.0,
)
"""A gateway is cut off for longer than heads are repeated."""

READS = Profile(
    "reads",
    think=0.06,
    slow=0.2,
    stale_reads=0.2,
    requests_lost=0.005,
    permissions_stand=0.2,
    acts={"add_message": 5, "get_message_chunk": 6, "get_server": 3, "add_channel": 0.5},
)
"""Replies and events meet."""

ARRIVALS = Profile(
    "arrivals",
    think=0.08,
    slow=0.1,
    gateways_killed=1,
    permissions_stand=0.2,
    acts={"add_message": 8, "get_message_chunk": 2, "add_channel": 1, "reconnect": 3},
)
"""Clients come late, gateways die."""

LAGGING = Profile(
    "lagging",
    think=0.06,
    lasts=0.8,
    late=0.9,
    latest=0.4,
    stale_reads=0.4,
    permissions_stand=0.06,
    acts={"add_message": 4, "get_message_chunk": 4, "get_server": 6, "reconnect": 4},
)
"""Gateways are behind what their clients know, and so are the answers to reads."""

REVOLVING = Profile(
    "revolving",
    think=0.03,
    lasts=2.0,
    late=0.2,
    slow_database=0.01,
    slow_fetches=0.9,
    permissions_stand=0.2,
    settings={"ring_size": 1},
    acts={"add_message": 5, "get_message_chunk": 2, "get_server": 1, "join_or_leave": 8},
)
"""Members leave and come back while their gateways still tell them what they missed."""

PRUNED = Profile(
    "pruned",
    think=0.4,
    lasts=8.0,
    late=0.3,
    prunings=12,
    database_errors=0.005,
    permissions_stand=2.0,
    acts={"add_message": 8, "get_message_chunk": 2, "join_or_leave": 1},
)
"""Old entries go while those who wrote them remember where they were."""

RESUMED = Profile(
    "resumed",
    seeds=8,
    think=0.1,
    lasts=2.5,
    late=0.2,
    slow_fetches=0.3,
    stale_reads=0.3,
    requests_lost=0.005,
    gateways_killed=2,
    resumes=0.9,
    piecemeal=0.3,
    away=0.4,
    permissions_stand=1.0,
    rules_change=0.3,
    acts={
        "add_message": 8, "get_message_chunk": 2, "get_server": 1, "add_channel": 0.3,
        "join_or_leave": 1, "reconnect": 1.5, "stall": 0.6,
    },
    settings={"outbox_limit": 4_000, "limits": "off"},
)  # fmt: skip
"""Clients are cut off, and come back with all that they hold, to this gateway or another."""

REJOINED = Profile(
    "rejoined",
    seeds=4,
    think=0.1,
    lasts=1.2,
    late=0.5,
    latest=0.6,
    slow_fetches=0.3,
    hints_lost=0.2,
    resumes=0.9,
    away=0.1,
    permissions_stand=1.0,
    acts={"add_message": 3, "join_or_leave": 6, "reconnect": 4},
    settings={"limits": "off"},
)
"""Members leave, come back and are cut off, while their gateways are behind."""

ABSENT = Profile(
    "absent",
    seeds=6,
    think=0.3,
    lasts=6.0,
    late=0.2,
    slow_fetches=0.5,
    prunings=10,
    gateways_killed=1,
    resumes=1.0,
    away=1.5,
    permissions_stand=3.0,
    rules_change=0.2,
    acts={"add_message": 10, "get_message_chunk": 2, "add_channel": 0.5, "join_or_leave": 0.3, "reconnect": 2},
    settings={"limits": "off"},
)
"""They stay away for longer than the journal reaches back."""

STORM = Profile(
    "storm",
    hints_lost=0.2,
    notices_lost=0.2,
    hints_doubled=0.1,
    late=0.3,
    requests_lost=0.02,
    database_errors=0.02,
    commits_unanswered=0.02,
    commits_lost=0.02,
    stale_reads=0.1,
    slow_subscriptions=0.3,
    gateways_cut=1,
    writers_cut=1,
    outages=1,
    writers_killed=3,
    gateways_killed=1,
    heals_within=38.0,
    writers=3,
    settings={"affinity": "on"},
)
"""All of it."""

ALL = (
    CALM,
    LOSSY,
    BURSTS,
    DEADLY,
    DARK,
    CUT,
    SEVERED,
    ISLAND,
    READS,
    ARRIVALS,
    LAGGING,
    REVOLVING,
    PRUNED,
    RESUMED,
    REJOINED,
    ABSENT,
    STORM,
)
