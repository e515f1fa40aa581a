"""Inference servers behind one protocol."""
