"""Tests of the two roads to the data."""
