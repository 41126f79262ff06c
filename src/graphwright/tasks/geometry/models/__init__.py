"""One model per file; each offers its class as `MODEL` (see `vector_model.build_network`)."""
