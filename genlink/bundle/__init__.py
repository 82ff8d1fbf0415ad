"""Model directories as bundles: what they hold, whether it is whole, and how they come from and go to the Hub."""
