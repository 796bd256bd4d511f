"""Tests of what a running service tells about itself."""
