"""New FastAPI services, fast by construction, and updates that keep the user's code."""
