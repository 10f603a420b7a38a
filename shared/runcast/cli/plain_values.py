"""Values of a command line that need no check: a text where a text is asked for, a default of the right type.

typer has pydantic check every value, and pydantic takes longer to be imported than all of the rest of a
short command. What is plain is taken as it is; everything else goes typer's own way, with its own words for
what is wrong.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from typer import Context
from typer.core import TyperGroup

_TEXTS = list[str]


class PlainValue:
    """Stands for typer's own way with one parameter's value (`typer._coercion.RuntimeParam`)."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value for the command."""
        annotation = param.type_descriptor.annotation
        if param.multiple or param.nargs == -1:
            if annotation == _TEXTS and _are_texts(value):
                return list(value)
        elif value is None or (annotation in (str, int, float) and type(value) is annotation):
            return value
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def take_plain_values(group: TyperGroup, help_names: Sequence[str]) -> None:
    """Has the group and its commands take what needs no check as it is."""
    for command in (group, *group.commands.values()):
        context = Context(command, help_option_names=list(help_names))
        for param in command.get_params(context):
            if getattr(param, "_runtime_param", param) is None:
                param._runtime_param = PlainValue()  # type: ignore[attr-defined]
        if isinstance(command, TyperGroup) and command is not group:
            take_plain_values(command, help_names)


def _are_texts(values: Any) -> bool:
    return isinstance(values, Iterable) and all(type(each) is str for each in values)
