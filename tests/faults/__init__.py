"""Tests that break parts of a running system: processes killed, NATS cut off, hints lost."""
