"""Tests, against real servers: unit, service, system, faults."""
