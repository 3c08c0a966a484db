"""Bugs that were planted on purpose and are kept: the simulator has to catch every one of them."""
