"""Representations of a screening other than plain JSON: FHIR, DICOM."""
