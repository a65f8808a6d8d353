"""One call on a clock of our own: what it sends again, and what it does with what comes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from sipstack.scenario import answers
from sipstack.scenario.received import Received
from tests.scenario.scenes import Clocked, recv, request, response, scenario, send

ACK = send("ACK sip:b SIP/2.0\nCSeq: 1 ACK")


# ---------------------------------------------------------------------- retransmissions


def test_an_invite_is_repeated_at_doubling_intervals(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, send("INVITE", retrans="500"), recv("200")))
    assert call.sent() == ["INVITE"]
    assert call.waits(60) == [(0.5, "INVITE"), (1.5, "INVITE"), (3.5, "INVITE"), (7.5, "INVITE"), (15.5, "INVITE")]
    assert call.ended == "1: no answer after 5 retransmissions"
    assert call.tally.retransmissions == 5


def test_any_other_message_is_repeated_at_most_every_t2(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, send("BYE", retrans="500"), recv("200")))
    call.sent()
    assert [at for at, _ in call.waits(60)] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]
    assert call.ended == "1: no answer after 7 retransmissions"


def test_without_retrans_nothing_is_repeated(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, send("INVITE"), recv("200")))
    assert call.call.deadline is None


def test_a_provisional_response_ends_the_repeats_of_an_invite_only(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, send("INVITE", retrans="500"), recv("100", optional="true"), recv("200")))
    call.hears(response(100))
    assert call.call.deadline is None
    call = Clocked(scenario(tmp_path, send("BYE", retrans="500"), recv("100", optional="true"), recv("200")))
    call.hears(response(100, "1 BYE"))
    assert call.waits(9) == [(4.0, "BYE"), (8.0, "BYE")]
    call.hears(response(200, "1 BYE"))
    assert call.ended == "well"


@pytest.mark.parametrize("method", ["ACK", "BYE", "CANCEL", "PRACK"])
def test_a_request_ends_the_repeats_of_a_response(tmp_path: Path, method: str) -> None:
    call = Clocked(scenario(tmp_path, recv("INVITE"), send("200", retrans="500"), recv(method), recv("INFO")))
    assert call.hears(request("INVITE")) == ["200"]
    assert call.waits(2) == [(0.5, "200"), (1.5, "200")]
    call.hears(request(method))
    assert call.call.deadline is None


def test_a_message_waits_until_the_one_before_is_answered(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE"), send("200", retrans="500"), recv("ACK", optional="true"), recv("BYE"),
                      send("200"))  # fmt: skip
    call = Clocked(played)
    call.hears(request("INVITE"))
    assert call.hears(request("BYE", 2)) == ["200"]
    assert call.ended == "well"


def test_a_message_that_waits_is_sent_when_the_repeats_end(tmp_path: Path) -> None:
    call = Clocked(
        scenario(
            tmp_path, recv("INVITE"), send("200", retrans="500"), recv("ACK", optional="global"), recv("INFO"),
            send("200"), recv("BYE"),
        )
    )  # fmt: skip
    call.hears(request("INVITE"))
    assert call.hears(request("INFO", 2)) == []
    assert call.waits(0.5) == [(0.5, "200")]
    call.call.receive(request("ACK"), call.now)
    (answer,) = call.texts()
    assert "CSeq: 1 ACK" in answer  # [last_CSeq:] is that of the message that came last
    assert call.call.deadline is None


def test_no_answer_may_lead_to_a_label(tmp_path: Path) -> None:
    call = Clocked(
        scenario(tmp_path, send("BYE", retrans="500", ontimeout="over"), recv("200"), '<label id="over"/>', "<nop/>"),
        max_other_retrans=1,
    )
    call.sent()
    assert call.waits(5) == [(0.5, "BYE")]
    assert call.ended == "well"


# ---------------------------------------------------------------------- repeats from the other side


def test_a_repeated_request_gets_its_last_response_again(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE"), send("100"), send("180"), recv("CANCEL"), send("200"),
                      send("SIP/2.0 487 Gone\nCSeq: 1 INVITE"), recv("ACK"), recv("BYE"))  # fmt: skip
    call = Clocked(played)
    assert call.hears(request("INVITE")) == ["100", "180"]
    assert call.hears(request("INVITE"), request("INVITE")) == ["180", "180"]
    assert call.hears(request("CANCEL")) == ["200", "487"]
    assert call.hears(request("CANCEL"), request("INVITE")) == ["200", "487"]
    assert call.hears(request("ACK"), request("ACK")) == []
    assert (call.tally.retransmissions, call.tally.unexpected, call.ended) == (4, 0, "")


def test_a_repeated_response_gets_its_ack_again(tmp_path: Path) -> None:
    played = scenario(tmp_path, send("INVITE"), recv("180", optional="true"), recv("200"), ACK, "<pause/>",
                      send("BYE"), recv("200"), "<pause/>")  # fmt: skip
    call = Clocked(played, pause_s=1.0)
    call.hears(response(180))
    assert call.hears(response(180)) == []
    assert call.hears(response(200)) == ["ACK"]
    assert call.hears(response(200)) == ["ACK"]
    assert call.hears(response(180)) == []
    assert call.waits(1) == [(1.0, "BYE")]
    assert call.hears(response(200), response(200, "2 BYE"), response(200, "2 BYE")) == ["ACK"]
    assert call.tally.unexpected == 0


def test_another_final_response_to_an_old_invite_is_acknowledged(tmp_path: Path) -> None:
    played = scenario(tmp_path, send("INVITE"), recv("200"), ACK, "<pause/>")
    call = Clocked(played, pause_s=1.0)
    call.hears(response(200))
    assert call.hears(response(200, "1 INVITE", "X: other")) == ["ACK"]
    assert call.tally.unexpected == 0


def test_only_so_many_messages_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_MAX_REMEMBERED", 1)
    call = Clocked(scenario(tmp_path, recv("INVITE"), recv("INFO"), recv("BYE")))
    call.hears(request("INVITE"), request("INFO", 2), request("INVITE"))
    assert call.tally.unexpected == 0
    call.hears(request("INFO", 2))
    assert call.tally.unexpected == 1


def test_a_late_provisional_response_of_a_transaction_is_no_surprise(tmp_path: Path) -> None:
    played = scenario(tmp_path, send("INFO", start_txn="i"), recv("100", optional="true", response_txn="i"),
                      recv("200", response_txn="i"), "<pause/>")  # fmt: skip
    call = Clocked(played, pause_s=1.0)
    branch = Received(call.texts()[0].encode()).branch
    for status in (200, 100):
        text = response(status, "1 INFO").text.replace("z9hG4bKx", branch)
        assert call.hears(Received(text.encode())) == []
    assert call.tally.unexpected == 0
