"""Users take turns, however much each of them asks for."""

from relay.resume.state_reader import FairQueue


def taken(queue: FairQueue[str], most: int = 100) -> list[str]:
    found: list[str] = []
    while len(found) < most and (turn := queue.take()) is not None:
        user, item = turn
        found.append(item)
        queue.done(user)
    return found


def test_users_take_turns() -> None:
    queue = FairQueue[str](most=1, most_each=1)
    for number in range(4):
        queue.add("many", f"m{number}")
    queue.add("few", "f0")
    queue.add("other", "o0")
    assert taken(queue) == ["m0", "f0", "o0", "m1", "m2", "m3"]
    assert len(queue) == 0


def test_who_has_so_many_served_waits_while_others_do_not() -> None:
    queue = FairQueue[str](most=3, most_each=2)
    for number in range(4):
        queue.add("many", f"m{number}")
    assert queue.take() == ("many", "m0")
    assert queue.take() == ("many", "m1")
    assert queue.take() is None
    queue.add("few", "f0")
    queue.add("few", "f1")
    assert queue.take() == ("few", "f0")
    assert queue.take() is None
    queue.done("few")
    assert queue.take() == ("few", "f1")
    queue.done("many")
    assert queue.take() == ("many", "m2")


def test_what_several_users_wait_for_is_served_once_when_the_first_of_them_may() -> None:
    queue = FairQueue[str](most=1, most_each=1)
    for item in ("a", "b", "common"):
        queue.add("many", item)
    queue.add("few", "common")
    assert list(queue) == ["a", "b", "common"]
    assert taken(queue) == ["a", "common", "b"]


def test_what_nobody_waits_for_any_more_is_passed_over() -> None:
    queue = FairQueue[str](most=1, most_each=1)
    for item in ("a", "b"):
        queue.add("one", item)
    queue.discard("a")
    queue.discard("unknown")
    assert taken(queue) == ["b"]
