"""Lets `python -m generator` do what the `thresher` command does."""

from generator.cli import main

main(prog_name="thresher")
