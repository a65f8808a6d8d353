"""The action of a move of a call: which function each of them is.

A chain, and no table of functions: what is compiled calls by it directly. Those of each call stand first, and of them
those of one that is refused, which has no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core import call_end as end
from engine.core import call_setup as setup
from engine.core import call_table as t
from engine.core.redirect import open_row_again

if TYPE_CHECKING:
    from engine.core.call import Call
    from engine.core.given import Given


def act(call: Call, action: int, given: Given) -> None:
    """Does what the table says."""
    if action == t.OPEN:
        setup.open_row(call, given)
    elif action == t.REFUSE:
        end.refuse(call, given)
    elif action == t.SEND_FINAL:
        end.send_final(call, given)
    elif action == t.SEND_INVITE:
        setup.send_invite(call, given)
    elif action == t.RELAY_PROVISIONAL:
        setup.relay_provisional(call, given)
    elif action == t.STORE_ANSWER:
        setup.store_answer(call, given)
    elif action == t.SEND_ANSWER:
        setup.send_answer(call, given)
    elif action == t.PASS_ACK:
        setup.pass_ack(call, given)
    elif action == t.RELAY_BYE:
        end.relay_bye(call, given)
    elif action == t.CLOSE:
        end.close(call, given)
    elif action == t.ANSWER_BYES:
        end.answer_byes(call, given)
    elif action == t.CANCEL_AND_REFUSE:
        end.cancel_and_refuse(call, given)
    elif action != t.NOTHING:
        _act_rarely(call, action, given)


def _act_rarely(call: Call, action: int, given: Given) -> None:
    if action == t.SEND_ANSWER_AND_CLOSE:
        end.send_answer_and_close(call, given)
    elif action == t.RELEASE_AND_REFUSE:
        end.release_and_refuse(call, given)
    elif action == t.RELEASE_STRAY:
        setup.release_stray(call, given)
    elif action == t.HOLD_BYE:
        end.hold_bye(call, given)
    elif action == t.REPEAT_ACK:
        setup.repeat_ack(call, given)
    elif action == t.CLOSE_AND_HOLD:
        end.close_and_hold(call, given)
    elif action == t.END_BOTH:
        end.end_both(call, given)
    elif action == t.JOIN_BYE:
        end.join_bye(call, given)
    elif action == t.ANSWER_BYE_NOW:
        end.answer_bye_now(call, given)
    elif action == t.REJECT_BYE:
        end.reject_bye(call, given)
    elif action == t.SEND_HELD_BYE:
        end.send_held_bye(call, given)
    elif action == t.SEND_UNRECORDED:
        end.send_unrecorded(call, given)
    elif action == t.OPEN_AGAIN:
        open_row_again(call, given)
    elif action == t.KEEP_END:
        end.keep_end(call, given)
    else:
        call.context.count(f"unexpected_{t.INPUTS[given.event].replace(' ', '_')}")
