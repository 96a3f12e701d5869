"""Which partition an instrument lies in: the same one that Kafka's Java client chooses for a key by default."""

from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, unsigned, with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2)."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k ^= k >> 24
        h = (h * _M & _MASK) ^ (k * _M & _MASK)
    if length > whole:
        h ^= int.from_bytes(data[whole:], "little")
        h = h * _M & _MASK
    h ^= h >> 13
    h = h * _M & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=1 << 17)
def partition_for(instrument: str, partitions: int) -> int:
    """The partition of an instrument's rows in a topic of that many partitions: toPositive(murmur2(utf8)) % partitions.

    ValueError where `partitions` is below 1. Cached by argument, so a writer may call it for every row.
    """
    if partitions < 1:
        raise ValueError(f"a topic has at least one partition, not {partitions}")
    return (murmur2(instrument.encode()) & 0x7FFFFFFF) % partitions
