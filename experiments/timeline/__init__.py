"""What happens while an experiment runs, and when: a small language, faults with checks, a player."""
