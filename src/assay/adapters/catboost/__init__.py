"""CatBoost models: the file checked before the library sees it, categories as it knows them, and the predictor."""
