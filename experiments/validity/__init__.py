"""Whether a run can be believed: what is watched, the rules that judge it, what this machine can emulate honestly.

`watch.RunWatch` is what the engine uses; everything that judges is a pure function over frozen values.
"""
