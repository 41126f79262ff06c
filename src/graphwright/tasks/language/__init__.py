"""A language model whose experts talk over a graph or hypergraph."""
