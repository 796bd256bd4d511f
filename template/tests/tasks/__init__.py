"""Who carries jobs."""
