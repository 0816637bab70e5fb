"""Model registry on MLflow: versions, lineage, champion."""
