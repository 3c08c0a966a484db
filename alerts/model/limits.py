"""Every wait, retry, queue, body and page of the delivery and the rules has a maximum; they stand here."""

DELIVERY_DEADLINE_S = 15.0
"""One attempt, from connecting to the last byte that is read of the answer."""
DELIVERY_ANSWER_BYTES = 4096
"""As much of a receiver's answer is read, and no more."""
DELIVERY_WIDTH = 4
"""Attempts under way at once to one receiver; one while it is failing, and one at a time of each account."""
DELIVERY_BATCH = 200
"""Deliveries that are read from the outbox at once, for one receiver."""
DELIVERY_RESULTS_S = 0.05
"""How long an outcome may wait for others before it is written."""
DELIVERY_ANSWER_KEPT = 512
"""Characters of a receiver's answer that the log keeps."""
DELIVERY_JITTER = 0.2
"""Every delay is spread by so much in either direction, so that receivers are not met by waves."""
DELIVERY_RETRY_AFTER_MAX_S = 3600.0
"""A receiver may ask for as long a wait, and no longer: an alert is worth little a day late."""
DELIVERY_SLOW_MAX_S = 300.0
"""How long an overloaded receiver (429, 502, 504) that names no time is left alone at the most."""
DELIVERY_BREAKER_AFTER = 3
"""So many failures in a row, and a receiver is only probed."""
DELIVERY_PROBE_FIRST_S = 60.0
DELIVERY_PROBE_MAX_S = 900.0
"""Between probes of a failing receiver: doubling from the first to this."""
DELIVERY_NOTIFY_AFTER = 4
"""Failures of one delivery before `delivery.failing` is told."""
DELIVERY_PAUSE_AFTER_DAYS = 5
"""A receiver that failed for so long is paused: it keeps queueing and is probed once a day."""
DELIVERY_PAUSED_PROBE_S = 86_400.0
DELIVERY_LONGEST_WAIT_S = 129_600.0
"""No delivery waits for as long: one that does was put off by a clock that was ahead."""
DELIVERY_DRAIN_S = 5.0
"""On stop, attempts in flight may go on for so long before they are cut."""
DIGEST_EVENTS = 100
"""Events that one mail or chat message holds at the most."""
GATHER_S = 2.0
"""How long the first mail or chat message waits for others that fall together with it, while the daemon runs."""
GATHER_BUSY_S = 30.0
"""The same, where a message went out within the last `GATHER_RECENT_S`: a storm is a few digests, not a mail each."""
GATHER_RECENT_S = 300.0
