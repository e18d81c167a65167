"""Models read where they lie: behind https://, hf:// and mlflow:, by ranges, nothing followed that was not allowed."""
