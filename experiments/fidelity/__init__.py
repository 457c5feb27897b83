"""How far links are from what they declare: random links of a fixed seed, measured, and the table of their errors.

`python -m experiments.fidelity` measures them on this machine and writes `docs/fidelity.md`.
"""
