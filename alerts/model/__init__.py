"""The model: values that all packages use. Money, instants, readings, events, rule specifications, spend."""
