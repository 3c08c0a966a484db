"""Every wait, retry, queue, body and page of the delivery and the rules has a maximum; they stand here."""

DELIVERY_DEADLINE_S = 15.0
"""One attempt, from connecting to the last byte that is read of the answer."""
DELIVERY_ANSWER_BYTES = 4096
"""As much of a receiver's answer is read, and no more."""
