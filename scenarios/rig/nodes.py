"""Running nodes for many stories: those that stand on the same ground follow one another on one node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.control.client import ControlError
from engine.store.errors import StoreError
from scenarios.rig.certificate import self_signed
from scenarios.rig.check import ended_wrong, wrong
from scenarios.rig.engine import EngineName
from scenarios.rig.errors import RigError
from scenarios.rig.node import Node
from scenarios.rig.place import Places
from scenarios.rig.stage import play
from scenarios.rig.story import Story
from scenarios.rig.told import Told

_MOST: Final = 4  # a node takes 60 MB


class Nodes:
    """One node for each ground among `stories`, started when needed, each in a folder below `folder`.

    A few run at a time; the one that has run for longest makes room for another.
    """

    def __init__(self, places: Places, folder: Path, stories: Sequence[Story]) -> None:
        self._places = places
        self._folder = folder
        self._stories = stories
        self._running: dict[tuple[str, bool, str], Node] = {}
        self._made = 0
        self._faults: list[str] = []  # of those that have made room

    def tell(self, story: Story, uac: EngineName, uas: EngineName) -> tuple[Told, list[str]]:
        """Plays a story; what came of it, and what is wrong with it. Raises RigError.

        A node on which a story went wrong is not used again: what it is left with could spoil the next one. So could
        one that had a silent target: it repeats its INVITE there for 64*T1, in wait for a chance to cancel it.
        """
        node = self._running.pop(story.ground, None) or self._start(story)
        if story.only_player:
            uac = uas = "player"
        try:
            told = play(node, story, uac, uas)
            found = wrong(story, told, node.place)
            if not found and story.ladders.second:
                found = ended_wrong(node)
            elif not found:
                self._running[story.ground] = node
        except (ControlError, StoreError) as error:
            raise RigError(f"node: {error}") from None
        finally:
            if node not in self.running:
                node.close()
        return told, found

    @property
    def running(self) -> list[Node]:
        """Those that can play the next story."""
        return list(self._running.values())

    def end(self) -> list[str]:
        """Ends all of them; what is wrong with any."""
        found = self._faults + [what for node in self._running.values() for what in ended_wrong(node)]
        self.close()
        return found

    def close(self) -> None:
        """Ends all of them, whatever they are at."""
        for node in self._running.values():
            node.close()
        self._running.clear()

    def _end_one(self, ground: tuple[str, bool, str]) -> list[str]:
        node = self._running.pop(ground)
        try:
            return ended_wrong(node)
        finally:
            node.close()

    def _start(self, story: Story) -> Node:
        if len(self._running) == _MOST:
            self._faults += self._end_one(next(iter(self._running)))
        self._made += 1
        place = self._places.take()
        node = Node(place, self._folder / f"node-{self._made}", place.filled(story.settings))
        together = [each for each in self._stories if each.ground == story.ground]
        bindings = [bound for each in together for bound in each.binding]
        try:
            node.bind(*dict.fromkeys(bindings))
            for words in dict.fromkeys(words for each in together for words in each.commands):
                _carry_out(node, words)
            if story.speaks_tls:
                self_signed(node.folder, place.node, place.caller, place.callee)
            node.start()
            node.damage(story.damage)
        except StoreError as error:
            raise RigError(str(error)) from error
        except RigError:
            node.close()
            raise
        return node


def _carry_out(node: Node, words: tuple[str, ...]) -> None:
    """One command on the node's data. Raises RigError."""
    done = node.command(*words)
    if done.returncode != 0:
        raise RigError(f"veil700 {' '.join(words)}: exit status {done.returncode}: {done.stderr.strip()}")
