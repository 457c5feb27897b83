"""The faults, one class a kind: inject, a check that it is there, a check of the symptom, heal, a check of recovery."""
