"""What the scripts share as commands."""

from __future__ import annotations

import sys
from collections.abc import Callable

from genlink.errors import GenLinkError


def run_command(main: Callable[[], None]) -> None:
    """Call a script's main function; an error that its user can mend is one line and an exit code."""
    try:
        main()
    except GenLinkError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
