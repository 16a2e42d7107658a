"""Accounts, sessions and profiles."""
