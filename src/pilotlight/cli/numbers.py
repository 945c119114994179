"""Numbers that options take."""

import math
from typing import Any

import click


class Finite(click.FloatRange):
    """A range without NaN, which click lets pass, and without infinity."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        number = super().convert(value, parameter, context)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", parameter, context)
        return number
