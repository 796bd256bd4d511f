"""Programs that run inside a rendered project, with its own interpreter."""
