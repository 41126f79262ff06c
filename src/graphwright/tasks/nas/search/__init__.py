"""Search with a predictor: ask, tell, and remember."""
