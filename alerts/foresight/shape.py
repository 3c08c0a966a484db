"""The shape of a counter over the day and the week, believed no more than its own regularity earns.

A shape is a list of 168 factors, one an hour of the week, with a mean of 1. Weeks begin where the epoch's did: on a
Thursday at midnight UTC. Each factor is pulled towards flat by James and Stein's rule: where the hours of one group
differ among themselves as much as the groups do, there is no shape.
"""

from __future__ import annotations

from collections.abc import Sequence

WEEK_HOURS = 168


def week_shape(hours: Sequence[int], start: int) -> list[float]:
    """Return the expected growth of each hour of the week (from the epoch's own), relative to a mean hour."""
    by_hour = _hour_of_day(hours, start)
    by_day = _day_of_week(hours, start)
    shape = [by_hour[hour] * by_day[day] for day in range(7) for hour in range(24)]
    mean = sum(shape) / WEEK_HOURS
    return [value / mean for value in shape] if mean > 0 else [1.0] * WEEK_HOURS


def _shrunk(groups: Sequence[Sequence[float]]) -> list[float]:
    """Return each group's mean relative to the mean of all, pulled towards 1 by as much as noise explains of it."""
    means = [sum(group) / len(group) if group else 0.0 for group in groups]
    filled = [mean for mean, group in zip(means, groups, strict=True) if group]
    centre = sum(filled) / len(filled)
    freedom = sum(len(group) - 1 for group in groups if group)
    if freedom < 1:
        return [1.0] * len(groups)
    within = sum((x - m) ** 2 for group, m in zip(groups, means, strict=True) for x in group) / freedom
    between = sum((mean - centre) ** 2 for mean in filled) / max(len(filled) - 1, 1)
    noise = within * sum(1 / len(group) for group in groups if group) / len(filled)
    trust = max(0.0, 1 - noise / between) if between > 0 else 0.0
    return [1 + trust * (mean / centre - 1) if group else 1.0 for mean, group in zip(means, groups, strict=True)]


def _hour_of_day(hours: Sequence[int], start: int) -> list[float]:
    """Each hour in parts of its own day's mean, so that a growing account keeps its shape; idle days say nothing."""
    groups: list[list[float]] = [[] for _ in range(24)]
    for end in range(len(hours), 23, -24):
        total = sum(hours[end - 24 : end])
        if total <= 0:
            continue
        for hour, growth in enumerate(hours[end - 24 : end], start + end - 24):
            groups[hour % 24].append(growth * 24 / total)
    return _shrunk(groups) if groups[0] else [1.0] * 24


def _day_of_week(hours: Sequence[int], start: int) -> list[float]:
    """Each day in parts of its own week's mean: the seven days from two weeks on, weekend against workday from one."""
    samples: list[list[float]] = [[] for _ in range(7)]
    for end in range(len(hours), WEEK_HOURS - 1, -WEEK_HOURS):
        total = sum(hours[end - WEEK_HOURS : end])
        if total <= 0:
            continue
        for day_end in range(end, end - WEEK_HOURS, -24):
            # The weekday is that of the middle of the 24 hours, which need not begin at midnight.
            weekday = ((start + day_end - 12) // 24) % 7
            samples[weekday].append(sum(hours[day_end - 24 : day_end]) * 7 / total)
    if not any(samples):
        return [1.0] * 7
    if min(len(sample) for sample in samples) >= 2:
        return [max(value, 0.0) for value in _shrunk(samples)]
    weekend = [value for day in _WEEKEND for value in samples[day]]
    workday = [value for day in range(7) if day not in _WEEKEND for value in samples[day]]
    off, on = _shrunk([weekend, workday])
    return [off if day in _WEEKEND else on for day in range(7)]


_WEEKEND = (2, 3)
"""The epoch began on a Thursday: its Saturday and Sunday are days 2 and 3."""
