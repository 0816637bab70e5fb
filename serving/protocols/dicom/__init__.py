"""Read DICOM photographs; write DICOM Structured Reports."""
