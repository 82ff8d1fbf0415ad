"""A linker ready for use: texts in, predictions out, with mentions found, prepared and calibrated on the way."""

from genlink.pipeline.linked import Linked
from genlink.pipeline.pipeline import Pipeline, load

__all__ = ["Linked", "Pipeline", "load"]
