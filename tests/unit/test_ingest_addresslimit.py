"""Too many failed tries from one address."""

from ved.ingest.addresslimit import BURST, MAX_ADDRESSES, AddressLimit


def test_a_burst_then_one_per_second_and_nobody_else_suffers() -> None:
    limit = AddressLimit()
    for number in range(BURST):
        assert not limit.is_blocked("a", 0.0), number
        limit.note_failure("a", 0.0)
    assert limit.is_blocked("a", 0.5)
    assert not limit.is_blocked("b", 0.5)
    assert not limit.is_blocked("a", 1.5)
    limit.note_failure("a", 1.5)
    assert limit.is_blocked("a", 1.6)
    assert not limit.is_blocked("a", 1000.0)


def test_addresses_are_bounded() -> None:
    limit = AddressLimit()
    for _ in range(BURST):
        limit.note_failure("first", 0.0)
    for number in range(MAX_ADDRESSES - 1):
        limit.note_failure(f"{number}", 0.0)
    assert limit.is_blocked("first", 0.0)
    limit.note_failure("one more", 0.0)
    assert not limit.is_blocked("first", 0.0)
