"""The algorithm of journal and gateways, run in a world without I/O, thousands of times, with everything going wrong.

What runs is production's own code: the journal with its head cache, groups, outbox, publisher and sweeper, the store's
transactions, and the gateway from a client's frame to the frames sent (`production.py`). What it runs on is simulated:
time and the event loop (`loop.py`), MongoDB and its driver (`database.py`, `driver.py`), NATS (`network.py`), the
services' handlers (`replica.py`, `services.py`), sockets (`gateways.py`) and clients (`clients.py`, `caches.py`). A
seed decides all that happens (`world.py`, `profile.py`, `simulation.py`); `oracle.py` and the clients say whether it
was right:

1. dense: each scope's revisions are 1, 2, 3 …, in commit order, and so are a channel's message ids;
2. committed first: nothing is published or acknowledged that is not committed, and nothing is committed twice;
3. in order, once: a client is told every entry it may see, in order, each once;
4. subscribe, then snapshot: nothing falls between a reply and the events after it; no reply is older than an event;
5. barrier: no entry of a channel is told before what it was judged under, or to who had left before it was written;
6. healing: soon after the faults end every client has everything, and can write; and nothing is left over.

7. resuming: what a reply calls current is told from where the client stood, to the end, before `resumed`; it is little,
   and its sight is unchanged; nothing is gone for who is still in it.

Leases have a simulation of their own, on the same parts: production's presence and its gateways' leases
(`presence.py`), with users who come and go (`lease_simulation.py`).

`mutations.py`, `resume_mutations.py` and `lease_mutations.py` take each guard out in turn: the model must notice.

Not modelled: restores of the database (one epoch throughout), sizes, authentication, direct channels, users' scopes,
and roles (a change of permissions changes nobody's sight here but by leaving).

To look further than the tests do, or at one run: `MODEL_SEEDS=0-1000 make test ARGS=tests/model/test_invariants.py`,
or the same with `tests/model/test_leases.py`.
"""
