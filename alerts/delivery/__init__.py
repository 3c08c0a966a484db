"""Delivery: from the outbox to the receivers, at least once, or visibly dead."""

from alerts.delivery.deliverer import Deliverer
from alerts.delivery.worker import Attempted

__all__ = ["Attempted", "Deliverer"]
