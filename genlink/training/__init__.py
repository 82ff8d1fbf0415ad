"""Training on accelerate: losses are pure functions, the loop is small and explicit, stages put both together."""
