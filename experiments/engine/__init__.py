"""Carries out an experiment's design: one cluster a run, a results folder that is written as the runs go."""
