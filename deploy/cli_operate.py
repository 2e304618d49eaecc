"""`muster quarantine` and `muster token`: looking after a running installation."""

import typer

quarantine = typer.Typer(no_args_is_help=True, help="Batches that were refused.")
tokens = typer.Typer(no_args_is_help=True, help="Access tokens.")
