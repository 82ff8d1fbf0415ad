"""``python -m genlink`` and ``accelerate launch -m genlink``."""

from genlink.cli.app import main

if __name__ == "__main__":
    main()
