"""Whether a run can be believed: what is watched, the rules that judge it, what this machine can emulate honestly.

`experiments.validity.watch.RunWatch` is what the engine uses; what judges is pure functions over frozen values.
"""
