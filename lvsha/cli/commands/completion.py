"""The shell's completion, which knows the targets the daemon has."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    For bash: lvsha-cli completion bash > /etc/bash_completion.d/lvsha-cli
    """
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101 -- click knows these three
    root = context.find_root()
    print(complete(root.command, {}, "lvsha-cli", "_LVSHA_CLI_COMPLETE").source())
