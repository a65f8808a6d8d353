"""Running nodes for many stories: those that want the same settings follow one another on one node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.control.client import ControlError
from engine.store.errors import StoreError
from scenarios.rig.check import ended_wrong, wrong
from scenarios.rig.engine import EngineName
from scenarios.rig.errors import RigError
from scenarios.rig.node import Node
from scenarios.rig.place import Places
from scenarios.rig.stage import play
from scenarios.rig.story import Story
from scenarios.rig.told import Told


class Nodes:
    """One node for each settings among `stories`, started when first needed, each in a folder below `folder`."""

    def __init__(self, places: Places, folder: Path, stories: Sequence[Story]) -> None:
        self._places = places
        self._folder = folder
        self._stories = stories
        self._running: dict[str, Node] = {}
        self._made = 0

    def tell(self, story: Story, uac: EngineName, uas: EngineName) -> tuple[Told, list[str]]:
        """Plays a story; what came of it, and what is wrong with it. Raises RigError.

        A node on which a story went wrong is not used again: what it is left with could spoil the next one. So could
        one that had a silent target: it repeats its INVITE there for 64*T1, in wait for a chance to cancel it.
        """
        node = self._running.pop(story.settings, None) or self._start(story)
        try:
            told = play(node, story, uac, uas)
            found = wrong(story, told, node.place)
            if not found and story.ladders.second:
                found = ended_wrong(node)
            elif not found:
                self._running[story.settings] = node
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
        found = [what for node in self._running.values() for what in ended_wrong(node)]
        self.close()
        return found

    def close(self) -> None:
        """Ends all of them, whatever they are at."""
        for node in self._running.values():
            node.close()
        self._running.clear()

    def _start(self, story: Story) -> Node:
        self._made += 1
        place = self._places.take()
        node = Node(place, self._folder / f"node-{self._made}", place.filled(story.settings))
        bindings = [bound for each in self._stories if each.settings == story.settings for bound in each.binding]
        try:
            node.bind(*dict.fromkeys(bindings))
            node.start()
        except StoreError as error:
            raise RigError(str(error)) from error
        except RigError:
            node.close()
            raise
        return node
