"""Télémétrie VED: from CAN frames to a live page and a long-term store."""
