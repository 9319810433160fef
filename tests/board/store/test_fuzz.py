"""Some hundred damaged log directories; `make fuzz-events` reads 20,000."""

from tests.board.store import fuzz


def test_damaged_files_are_noticed_and_never_end_the_store():
    counts = fuzz.hunt(400, seed=7)
    assert counts["noticed"] > 200 and counts["read"] > 10 and sum(counts.values()) == 400
