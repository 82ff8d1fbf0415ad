"""The folder that ``evaluate.load`` opens; the metric is in the module of the same name."""
