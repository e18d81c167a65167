"""Programs of torch.export: the archive read without its pickles, its operators run, and the predictor."""
