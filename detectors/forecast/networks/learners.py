"""The networks as learners of the seven classes."""

from functools import partial

from detectors.forecast.direction.learner import Learner
from detectors.forecast.networks.architectures import NAMES
from detectors.forecast.networks.fitting import Recipe, fit

RECIPE = Recipe()
"""How all are fitted; docs/networks.md tells how the loss was chosen."""
LEARNERS: dict[str, Learner] = {name: partial(fit, name, recipe=RECIPE) for name in NAMES}
"""By name, which is the architecture's."""
