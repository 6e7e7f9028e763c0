"""Tests of congruence."""
