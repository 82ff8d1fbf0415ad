"""The demo: a bundled toy knowledge base and corpus, and a linker trained on them while you watch."""
