"""Tests, against real servers: unit, service, system, faults."""

import pytest

# So that what these assert for the tests says as much as a test's own assertion.
pytest.register_assert_rewrite(
    "tests.app",
    "tests.cache",
    "tests.rig",
    "tests.system.coming_back",
    "tests.system.devices",
    "tests.system.world",
    "tests.view",
)
