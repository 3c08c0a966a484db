"""The judgement and the message: readings, money, rules, episodes, events, channels, statements and reports.

Nothing here imports `daemon`; all but `delivery` and `channels` are pure functions of their arguments.
"""
