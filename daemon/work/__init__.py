"""The work: the service with its jobs, polling, evaluation, retention, and what is checked before."""
