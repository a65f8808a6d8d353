"""XML to elements that know their lines. Nothing is ever loaded or expanded on behalf of a file."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler, LexicalHandler, property_lexical_handler
from xml.sax.xmlreader import AttributesImpl, InputSource

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from sipstack.scenario.lenient import restored, well_formed
from sipstack.scenario.model import MAX_FILE_BYTES, Fault, ScenarioError

if TYPE_CHECKING:
    from xml.sax.xmlreader import Locator

# Deeper than any scenario; `<action>` stands on the third level.
_MAX_DEPTH: Final = 16


@dataclass(slots=True)
class Node:
    """One element; `text` is its first CDATA section, or else all character data directly in it, `text_line` where that
    begins.
    """

    name: str
    line: int
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    text: str = ""
    text_line: int = 0


class _TooDeep(Exception):
    """Elements nested beyond all use; the line."""


class _Builder(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self._line: Locator | None = None
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._sections: list[int] = []  # CDATA sections that the open elements have had
        self._in_section = False
        self.root: Node | None = None

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802
        self._line = locator

    def _here(self) -> int:
        return (self._line.getLineNumber() if self._line else 0) or 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        node = Node(name, self._here(), {key: restored(attrs.getValue(key)) for key in attrs.getNames()})
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        if len(self._open) >= _MAX_DEPTH:
            raise _TooDeep(node.line)
        self._open.append(node)
        self._texts.append([])
        self._sections.append(0)

    def start_section(self) -> None:
        """`<![CDATA[`: the first one of an element is all that counts of its text."""
        self._sections[-1] += 1
        self._in_section = True
        if self._sections[-1] == 1:
            self._texts[-1].clear()

    def end_section(self) -> None:
        """`]]>`."""
        self._in_section = False

    def characters(self, content: str) -> None:
        if self._sections[-1] and not (self._in_section and self._sections[-1] == 1):
            return
        if not self._texts[-1]:
            self._open[-1].text_line = self._here()
        self._texts[-1].append(content)

    def endElement(self, name: str) -> None:  # noqa: N802
        self._open.pop().text = "".join(self._texts.pop())
        self._sections.pop()


class _Sections(LexicalHandler):
    """Tells a builder of CDATA sections; the other calls of SAX are of no interest."""

    def __init__(self, builder: _Builder) -> None:
        self._builder = builder

    def startCDATA(self) -> None:  # noqa: N802
        self._builder.start_section()

    def endCDATA(self) -> None:  # noqa: N802
        self._builder.end_section()


def read_tree(path: Path) -> Node:
    """The root element of a file. ScenarioError with the line; OSError when the file cannot be read.

    The file is read as one character a byte whatever it declares, so that its bytes reach the wire as they are.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ScenarioError(path, [Fault(1, f"larger than {MAX_FILE_BYTES // 1024} KiB")])
    text = data.removeprefix(codecs.BOM_UTF8).decode("latin-1").replace("\r\n", "\n")
    source = InputSource()
    source.setByteStream(io.BytesIO(well_formed(text).encode()))
    source.setEncoding("utf-8")
    builder = _Builder()
    # `<!DOCTYPE scenario SYSTEM "sipp.dtd">` stands in most files: allowed, and never fetched.
    parser = DefusedExpatParser(forbid_dtd=False, forbid_entities=True, forbid_external=False)
    parser.setContentHandler(builder)
    parser.setProperty(property_lexical_handler, _Sections(builder))
    try:
        parser.parse(source)
    except DefusedXmlException:
        raise ScenarioError(path, [Fault(parser.getLineNumber() or 1, "entities are not supported")]) from None
    except _TooDeep as error:
        raise ScenarioError(path, [Fault(error.args[0], "elements stand too deep in each other")]) from None
    except SAXParseException as error:
        raise ScenarioError(path, [Fault(error.getLineNumber() or 1, f"no XML: {error.getMessage()}")]) from None
    assert builder.root is not None, "expat refuses a document without elements"
    return builder.root
