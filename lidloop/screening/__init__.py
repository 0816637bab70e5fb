"""Ptosis screening: lid measurements in millimetres, picture quality, flags."""
