"""`pilotlight completion`: the script that completes commands, options and function names in a shell."""

import click
from click.shell_completion import get_completion_class

from pilotlight.cli import output

_VARIABLE = "_PILOTLIGHT_COMPLETE"


@click.command(
    epilog=output.examples(
        "pilotlight completion bash > ~/.local/share/bash-completion/completions/pilotlight",
        "pilotlight completion zsh > ~/.zfunc/_pilotlight",
        "pilotlight completion fish > ~/.config/fish/completions/pilotlight.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    output.line(kind(root.command, {}, "pilotlight", _VARIABLE).source())
