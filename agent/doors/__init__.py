"""Where events come in: the session with the controller."""
