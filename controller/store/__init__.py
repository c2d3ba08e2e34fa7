"""Durable memory of the controller."""
