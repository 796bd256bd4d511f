"""Tests of the example feature."""
