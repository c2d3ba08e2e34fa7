"""Planted faults: one small override of the real code each, which the simulator must find.

An invariant that cannot fail proves nothing. `python -m tests.sim.mutants` hunts for all of them.
"""
