"""What people call things: tags of runs, and comparisons under a name."""

from cifar_core.runs.store import Store
from tests.runs.helpers import submit


def test_tags_are_kept_once_each_and_without_spaces_around_them(store: Store) -> None:
    run = submit(store)
    assert store.run(run).tags == ()
    store.set_tags(run, [" lecture 3", "to  repeat", "lecture 3", "", "\n"])
    assert store.run(run).tags == ("lecture 3", "to repeat")


def test_a_comparison_is_kept_changed_and_forgotten_under_the_same_id(store: Store) -> None:
    first = store.keep_comparison("depth", ["a", "b"], "a", view={"compare.x": "seconds"})
    second = store.keep_comparison("seeds", ["c", "d"], "d", note="of *Monday*")
    assert [(each.id, each.runs, each.baseline) for each in store.comparisons()] == [
        (second, ("c", "d"), "d"),
        (first, ("a", "b"), "a"),
    ]
    assert store.keep_comparison("how deep", ["a", "b", "c"], "c", instead_of=first) == first
    (newest, oldest) = store.comparisons()
    assert (oldest.name, oldest.runs, oldest.baseline, oldest.view) == ("how deep", ("a", "b", "c"), "c", {})
    assert newest.note == "of *Monday*"
    store.delete_comparison(second)
    assert store.comparisons() == [oldest]
