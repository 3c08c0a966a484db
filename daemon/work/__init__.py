"""The service with its jobs: polling, evaluation, retention; and the checks before the start."""
