from worker.row_key import RowKeys

ROW = {"supplier_id": "A", "distance_km": 3.0, "load_kg": None}


def test_the_same_rows_have_the_same_keys_in_every_run() -> None:
    first, second = RowKeys(), RowKeys()
    assert [first.key(ROW), first.key(ROW)] == [second.key(ROW), second.key(ROW)]


def test_identical_rows_of_one_file_differ() -> None:
    keys = RowKeys()
    assert len({keys.key(ROW) for _ in range(3)}) == 3


def test_order_of_columns_and_empty_ones_do_not_matter() -> None:
    assert RowKeys().key(ROW) == RowKeys().key({"distance_km": 3.0, "supplier_id": "A"})


def test_any_value_matters() -> None:
    rows = [ROW, ROW | {"supplier_id": "B"}, ROW | {"distance_km": 3.1}, ROW | {"load_kg": 3.0}]
    assert len({RowKeys().key(row) for row in rows}) == len(rows)


def test_a_key_does_not_change_between_releases() -> None:
    """Keys are stored: another way to compute them would import every old file again."""
    # printf '{"a": 1.0, "b": "\\u00fc"}' | sha256sum | cut -c1-32
    assert RowKeys().key({"a": 1.0, "b": "ü"}) == "404ef7baf79eb8240237598b005a8ef3-1"
