"""Doors: everything with a socket. Events go in, answers come out."""
