"""The service: its wiring is in `main.py`, one package a feature beside it."""
