"""Addresses: taken apart, put together, and the two links of a lecture."""

from cifar_core.experiment import links


def test_an_address_is_taken_apart_and_put_together_again() -> None:
    whole = "https://hall.example/lab/Plan?start=e&set=phases.0.epochs%3D3&set=split.source%3D0%2C1"
    server, page, query = links.taken_apart(whole)
    assert (server, page) == ("https://hall.example/lab", "Plan")
    assert query == {"start": ["e"], "set": ["phases.0.epochs=3", "split.source=0,1"]}
    assert links.address(server, page, query) == whole


def test_a_relative_address_names_no_server() -> None:
    assert links.taken_apart("Plan?seeds=1") == ("", "Plan", {"seeds": ["1"]})
    assert links.taken_apart("?seeds=1")[:2] == ("", "")
    assert links.address("", "Plan", {"seeds": ["1"]}) == "Plan?seeds=1"


def test_an_address_means_the_forms_experiment_with_its_changes() -> None:
    meant = links.linked({"set": ["phases.0.epochs=7"]})
    assert meant.phases[0].epochs == 7
    assert links.linked({}) == links.FIRST


def test_a_lectures_two_links_belong_together_and_the_audiences_has_no_key() -> None:
    presenter, audience = links.lecture_links({"strategies": ["head,scratch"]})
    assert presenter["strategies"] == ["head,scratch"]
    assert audience == {"lecture": [links.lecture_of(presenter["key"][0])]}
    assert links.lecture_links({})[1] != audience


def test_whole_numbers_of_an_address_stay_within_bounds() -> None:
    assert [links.whole(text, 3, 20) for text in ("", "x", "0", "7", "99")] == [3, 3, 1, 7, 20]
