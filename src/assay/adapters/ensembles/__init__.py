"""Tree ensembles as data: what a model of trees computes, read out of it so that it can be reasoned about."""
