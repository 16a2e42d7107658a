"""What two services need: contracts, journal, bus, store, permissions, settings, telemetry."""
