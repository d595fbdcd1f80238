"""What takes too long, and what does not."""

import pytest

from gateway.http2.patience import Patience

HEAD, BODY = 10.0, 60.0


@pytest.fixture
def patience():
    return Patience(HEAD, BODY, 100.0)


def test_one_looks_as_often_as_the_shorter_time():
    assert Patience(10.0, 60.0, 0.0).period == Patience(60.0, 10.0, 0.0).period == 10.0


def test_a_connection_that_says_nothing_is_over(patience):
    assert not patience.is_over(109.9, head_under_way=True)
    assert patience.is_over(110.0, head_under_way=True)
    assert not patience.is_over(110.0, head_under_way=False)


def test_a_head_has_its_own_time(patience):
    patience.head_began(105.0)
    assert not patience.is_over(114.9, head_under_way=True)
    assert patience.is_over(115.0, head_under_way=True)


def test_a_frame_has_its_time_from_its_first_piece(patience):
    patience.stalled(105.0)
    patience.stalled(114.0)
    assert patience.stuck
    assert not patience.is_over(114.9, head_under_way=False)
    assert patience.is_over(115.0, head_under_way=False)
    patience.moved()
    assert not patience.stuck
    assert not patience.is_over(999.0, head_under_way=False)
    patience.stalled(1000.0)
    assert not patience.is_over(1009.9, head_under_way=False)


def test_a_frame_may_begin_when_the_clock_does():
    patience = Patience(HEAD, BODY, 0.0)
    patience.stalled(0.0)
    assert patience.stuck
    assert patience.is_over(10.0, head_under_way=False)


def test_a_request_is_late_once(patience):
    patience.request_began(1, 100.0)
    patience.request_began(3, 101.0)
    patience.request_began(5, 101.0)
    patience.request_ended(5)
    assert patience.late_requests(159.9) == []
    assert patience.late_requests(160.0) == [1]
    assert patience.late_requests(161.0) == [3]
    assert patience.late_requests(999.0) == []


def test_the_end_of_a_request_that_is_not_known_is_none(patience):
    patience.request_ended(7)
    assert patience.late_requests(999.0) == []
