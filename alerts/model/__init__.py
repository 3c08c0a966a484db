"""The model: the values that every room speaks in. Money, instants, readings, events, rule specifications, spend."""
