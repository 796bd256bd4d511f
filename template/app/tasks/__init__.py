"""Who carries jobs to who runs them: Celery and a broker, or the service itself."""
