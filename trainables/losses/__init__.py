"""Losses, each beside the equations it implements."""
