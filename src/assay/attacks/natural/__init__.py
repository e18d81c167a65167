"""What an honest world does to rows: values that are missing, in another unit, out of range or corrupted."""
