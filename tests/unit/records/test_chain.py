"""The chain: known answers, and no two field lists with the same bytes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from records import chain
from tests.rigs.examples import FULL

FIELD = st.one_of(st.text(max_size=8), st.integers(0, 2**64 - 1), st.binary(max_size=8))


def test_fields_known_answer() -> None:
    assert chain.fields("é", 1, b"\x00") == bytes.fromhex("00000002c3a9 000000080000000000000001 0000000100")


def test_first_hash_known_answer() -> None:
    """Computed once with sha256sum over the bytes that the definition gives."""
    assert (
        chain.first_hash("a-1", "e", "records").hex()
        == "a62654fb17ce4451953a6180a0a92964d2b345ca01379c3cb94237c5a7ef58b2"
    )


def test_next_hash_known_answer() -> None:
    link = chain.next_hash("a-1", "e", "records", 1, 1, "decision", bytes(32), chain.digest(b"{}"))
    assert link.hex() == "996e1695237735da9c886a6b02dcaff257c9d35af0257162727613971f7bd21c"


@settings(max_examples=FULL)
@given(st.lists(FIELD, max_size=4), st.lists(FIELD, max_size=4))
def test_different_fields_give_different_bytes(left: list[chain.Field], right: list[chain.Field]) -> None:
    def raw(values: list[chain.Field]) -> list[bytes]:
        return [
            v.encode() if isinstance(v, str) else v.to_bytes(8, "big") if isinstance(v, int) else v for v in values
        ]

    assert (chain.fields(*left) == chain.fields(*right)) == (raw(left) == raw(right))


def test_every_part_of_a_record_is_bound() -> None:
    parts = ("a", "e", "records", 1, 1, "decision", bytes(32), chain.digest(b"x"))
    others = ("b", "f", "telemetry", 2, 2, "epoch_opened", b"\x01" * 32, chain.digest(b"y"))
    base = chain.next_hash(*parts)
    for place, other in enumerate(others):
        changed = (*parts[:place], other, *parts[place + 1 :])
        assert chain.next_hash(*changed) != base  # type: ignore[arg-type]
