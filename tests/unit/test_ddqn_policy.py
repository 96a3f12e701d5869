"""The compiled policy: the same actions as torch, however rows are cut; files that are refused."""

import msgspec
import numpy as np
import pytest

from detectors import registry
from detectors.ddqn.model import Card, Policy, PolicyMetadata, decode, summary
from detectors.ddqn.score import choose

STATES = 1_000_000
CHUNK = 100_000


def made(inputs: int = 22, hidden: int = 32, actions: int = 5, seed: int = 7) -> Policy:
    """A policy of random weights."""
    random = np.random.default_rng(seed)
    shapes = {
        "w1": (hidden, inputs),
        "b1": (hidden,),
        "w2": (hidden, hidden),
        "b2": (hidden,),
        "w": (actions, hidden),
        "b": (actions,),
    }
    arrays = {name: (random.normal(size=shape) / 4.0).astype(np.float32) for name, shape in shapes.items()}
    names = tuple(f"x{number}" for number in range(inputs))
    return Policy(
        PolicyMetadata("test", names, tuple(f"a{number}" for number in range(actions)), Card(seed=seed)), arrays
    )


def drawn(rows: int, policy: Policy, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Random states, and masks that allow something everywhere."""
    random = np.random.default_rng(seed)
    states = random.normal(size=(rows, len(policy.described.inputs))).astype(np.float32)
    masks = random.random((rows, len(policy.described.actions))) < 0.7
    masks[~masks.any(axis=1), 0] = True
    return states, masks


def test_values_are_those_of_the_network_written_out() -> None:
    policy = made()
    states, masks = drawn(300, policy)
    w = {name: array.astype(np.float64) for name, array in policy.arrays.items()}
    h1 = np.maximum(states @ w["w1"].T + w["b1"], 0.0)
    wanted = np.maximum(h1 @ w["w2"].T + w["b2"], 0.0) @ w["w"].T + w["b"]
    q, actions = choose(policy.network(), states, masks)
    assert q == pytest.approx(wanted, abs=1e-5)
    assert (actions == np.where(masks, q, -np.inf).argmax(axis=1)).all()


def test_cutting_rows_anywhere_changes_no_bit() -> None:
    policy = made()
    states, masks = drawn(301, policy)
    q, actions = choose(policy.network(), states, masks)
    for cut in (1, 63, 64, 200):
        parts = [choose(policy.network(), states[rows], masks[rows]) for rows in (slice(cut), slice(cut, None))]
        assert np.concatenate([part[0] for part in parts]).tobytes() == q.tobytes()
        assert np.concatenate([part[1] for part in parts]).tobytes() == actions.tobytes()


def test_among_equal_values_the_lowest_allowed_action_is_chosen() -> None:
    policy = made(actions=4)
    for name in ("w", "b"):
        policy.arrays[name][...] = 0.0
    states, _ = drawn(2, policy)
    masks = np.array([[True, True, True, True], [False, False, True, True]])
    assert choose(policy.network(), states, masks)[1].tolist() == [0, 2]


def in_order(torch, weights, bias, x):
    """A layer of torch, its sums in the order of the compiled one."""
    found = bias.expand(len(x), -1).clone()
    for i in range(0, weights.shape[1], 4):
        parts = [x[:, i + k, None] * weights[None, :, i + k] for k in range(4)]
        found += (parts[0] + parts[1]) + (parts[2] + parts[3])
    return found


def test_the_same_sums_in_torch_give_the_same_bits() -> None:
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    policy = made()
    network = policy.network()
    states, masks = drawn(5_000, policy)
    w = {name: torch.from_numpy(array) for name, array in network._asdict().items()}
    layer = torch.nn.functional.pad(torch.from_numpy(states), (0, w["w1"].shape[1] - states.shape[1]))
    layer = torch.relu(in_order(torch, w["w1"], w["b1"], layer))
    layer = torch.relu(in_order(torch, w["w2"], w["b2"], layer))
    wanted = in_order(torch, w["w"], w["b"], layer).numpy()
    q, actions = choose(network, states, masks)
    assert q.tobytes() == wanted.tobytes()
    assert (actions == np.where(masks, wanted, -np.inf).argmax(axis=1)).all()


def test_a_million_states_get_the_action_that_torch_gives_them() -> None:
    # Some seconds: fewer states would hardly ever hold two values that are next to each other.
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    from detectors.ddqn.learner import greedy, values

    torch.set_num_threads(1)
    policy = made()
    network = policy.network()
    plain = {name: torch.from_numpy(array) for name, array in policy.arrays.items()}
    apart = 0
    for seed in range(STATES // CHUNK):
        states, masks = drawn(CHUNK, policy, seed)
        actions = choose(network, states, masks)[1]
        theirs = values(plain, torch.from_numpy(states)).numpy()
        differ = np.flatnonzero(greedy(theirs, masks) != actions)
        apart += len(differ)
        # torch's products sum in an order of their own: values closer than that are a tie, and either may win it.
        allowed = np.where(masks[differ], theirs[differ], -np.inf)
        assert (allowed.max(axis=1) - theirs[differ, actions[differ]] < 2e-6).all()
    assert apart <= 10


def test_a_policy_survives_its_file() -> None:
    policy = made()
    again = decode(policy.encoded())
    assert again.hash == policy.hash
    assert again.described == policy.described
    assert summary(again)["weights"] == sum(array.size for array in policy.arrays.values())


def test_the_registry_tells_a_policy_from_an_autoencoder() -> None:
    policy = made()
    known = registry.read(policy.encoded())
    assert (known.detector, known.hash) == ("ddqn", policy.hash)
    assert f"`{policy.hash}`" in known.markdown()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"detector": "kmeans"}, "not ddqn"),
        ({"version": "2.0"}, "contract version"),
        ({"inputs": ("x",)}, "fit together"),
        ({"actions": ("a", "a", "b", "c", "d")}, "twice"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(change: dict[str, object], what: str) -> None:
    policy = made()
    changed = msgspec.structs.replace(policy, described=msgspec.structs.replace(policy.described, **change))
    with pytest.raises(ValueError, match=what):
        decode(changed.encoded())


def test_weights_that_are_not_finite_are_refused() -> None:
    policy = made()
    policy.arrays["w2"][0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        decode(policy.encoded())


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="no safetensors file"):
        decode(b"\x10\x00\x00\x00\x00\x00\x00\x00not json at all!")
