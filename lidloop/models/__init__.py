"""Model bundles: files, digests, model card, transfer to object stores."""
