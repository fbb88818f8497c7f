"""Faults on purpose: a TCP proxy that behaves badly, and loops that kill, cut and damage a small plant."""
