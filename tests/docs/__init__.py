"""Tests of the whole system from outside, over the wire."""
