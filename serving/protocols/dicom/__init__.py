"""DICOM photographs in, DICOM Structured Reports out."""
