"""Limits of delivery and rules: every wait, retry, queue, body and page has a maximum."""

DELIVERY_DEADLINE_S = 15.0
"""One attempt, from connecting to the last byte read of the answer."""
DELIVERY_STUCK_AFTER_S = 60.0
"""A receiver's lane of which no attempt has ended for so long hangs: the deadline of each is long over."""
DELIVERY_ANSWER_BYTES = 4096
"""Most bytes read of a receiver's answer."""
DELIVERY_WIDTH = 4
"""Concurrent attempts to one receiver: one while it is failing, and never two for one account."""
DELIVERY_AT_ONCE = 64
"""Customers' receivers that are delivered to at once: however many hang, connections are left for all else."""
DELIVERY_SLICE_S = 0.02
"""Looking which receivers have something due pauses after so long, for everything else in the loop."""
DELIVERY_LOOKS = 32
"""So many receivers are looked at as one piece of work."""
DELIVERY_BATCH = 200
"""Deliveries that one query of the outbox returns, per receiver."""
DELIVERY_RESULTS_S = 0.05
"""How long a result waits for others, to be written with them in one transaction."""
DELIVERY_ANSWER_KEPT = 512
"""Characters of a receiver's answer kept in the log."""
DELIVERY_JITTER = 0.2
"""Each delay varies by up to this fraction, so that retries do not arrive in waves."""
DELIVERY_RETRY_AFTER_MAX_S = 3600.0
"""Longest Retry-After that is honoured: an alert is worth little a day late."""
DELIVERY_SLOW_MAX_S = 300.0
"""Longest wait for an overloaded receiver (429, 502, 504) that sends no Retry-After."""
DELIVERY_BREAKER_AFTER = 3
"""Consecutive failures after which a receiver is only probed."""
DELIVERY_PROBE_FIRST_S = 60.0
DELIVERY_PROBE_MAX_S = 900.0
"""Longest time between two probes of a failing receiver; it doubles from `DELIVERY_PROBE_FIRST_S`."""
DELIVERY_NOTIFY_AFTER = 4
"""Failures of one delivery before `delivery.failing` is sent."""
DELIVERY_PAUSE_AFTER_DAYS = 5
"""A receiver that fails for so many days is paused: its deliveries queue, and it is probed once a day."""
DELIVERY_PAUSED_PROBE_S = 86_400.0
DELIVERY_LONGEST_WAIT_S = 129_600.0
"""Upper bound of a delivery's wait. A longer one was set by a clock that was ahead; the delivery is due now."""
DELIVERY_DRAIN_S = 5.0
"""On stop, attempts in flight have so long before they are cancelled."""
DIGEST_EVENTS = 100
"""Most events in one mail or chat message."""
GATHER_S = 2.0
"""How long a mail or chat message waits for further events before it is sent, while the daemon runs."""
GATHER_BUSY_S = 30.0
"""The same, if a message was sent in the last `GATHER_RECENT_S`: many events become a few digests."""
GATHER_RECENT_S = 300.0
