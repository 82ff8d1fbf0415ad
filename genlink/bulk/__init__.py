"""Linking of whole files: read in pieces, linked in parts that survive an interruption, written in any form."""
