"""Where commands go out: the engine and the disk."""
