"""Starts a gateway."""

from services.gateway.app import Gateway
from shared import process

if __name__ == "__main__":
    process.run("gateway", Gateway)
