"""Getting the simulator's kernels ready: compiled on a machine's first start, loaded from the cache afterwards."""

from producers.synthetic.config import SyntheticConfig
from producers.synthetic.market import SyntheticMarket


def warm_up(config: SyntheticConfig) -> None:
    """Simulate the first second of a market; every kernel of the simulator is compiled or loaded by that."""
    next(SyntheticMarket(config, 0, 0).chunks())


if __name__ == "__main__":
    warm_up(SyntheticConfig())
