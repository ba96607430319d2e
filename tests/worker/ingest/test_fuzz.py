from tests.worker.ingest.fuzz import run


def test_each_row_of_made_up_files_is_accounted_for() -> None:
    """Some of them; `python -m tests.worker.ingest.fuzz` goes through 50,000."""
    kinds = run(files=500, seed=2026)
    assert kinds.total() == 500
    assert kinds["well-formed"] == 250  # none of these may be refused as a whole
    assert kinds["damaged"] > 100
