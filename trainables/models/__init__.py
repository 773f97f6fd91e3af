"""Encoders and the models that read whole sessions."""
