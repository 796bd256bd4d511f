"""The service: `main.py` puts it together, one package a feature beside it."""
