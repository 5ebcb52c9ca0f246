"""Python's garbage collector, told what a server knows: what is there when it is ready stays.

A full collection looks at every object of the process, models, tables and code included: a tenth of a second and more
in which nobody is answered. Left alone it comes every few hundred forecasts.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 10_000
"""Containers made and not let go before the youngest are looked at; those of a hundred requests under way are fewer."""
GENERATIONS: Final = (20, 10)
"""How many looks at the youngest make one at the older, and how many of these one at all that are not exempt."""


def spare_what_stays() -> None:
    """Collect once, and exempt whatever is there now from collections to come. To be called again once much of that
    has been let go, such as a model set."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *GENERATIONS)
