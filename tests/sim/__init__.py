"""The simulator: the real service under virtual time, in a world that breaks by a seed and is then healed."""
