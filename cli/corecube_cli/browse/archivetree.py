"""The tree of the archive, filled as it is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Tree

from corecube.text import printable
from corecube_cli.browse.contents import Entry, children
from corecube_cli.browse.paint import DIM, MARK
from corecube_cli.browse.places import Folder, Instrument, More, Place, Shot

if TYPE_CHECKING:
    from textual.widgets.tree import TreeNode

    from corecube_cli.browse.contents import Overview
    from corecube_cli.browse.loading import Loader


class ArchiveTree(Tree[Place | None]):
    """Instruments, their shots, and what is in them."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("right,l", "open_branch", "Open branch", show=False),
        Binding("left,h", "close_branch", "Close branch", show=False),
        Binding("g", "scroll_home", "First", show=False),
        Binding("G,shift+g", "scroll_end", "Last", show=False),
        Binding("enter", "select_cursor", "Open"),
        Binding("q", "app.leave", "Quit"),
    ]

    def __init__(self, name: str, loader: Loader, *, colored: bool = True, **named: Any) -> None:
        super().__init__(Text(printable(name)), None, **named)
        self._loader = loader
        self._colored = colored
        self._loaded: set[int] = set()
        self.guide_depth = 2
        self.auto_expand = False

    def fill(self, overview: Overview) -> None:
        """Show the instruments; what was open is opened again."""
        open_places = [node.data for node in self._branches() if node.is_expanded and node.data]
        here = self.cursor_node.data if self.cursor_node is not None else None
        self._loaded.clear()
        self.root.remove_children()
        for entry in overview.entries:
            self._add(self.root, entry)
        self.root.expand()
        nodes = {node.data: node for node in self.root.children}
        for place in open_places:
            if place in nodes and isinstance(place, Instrument):
                nodes[place].expand()
        if len(overview.entries) == 1:
            self.root.children[0].expand()
        if here in nodes:
            self.call_after_refresh(self.move_cursor, nodes[here])

    def reveal(self, place: Shot) -> None:
        """Open the instrument of a shot and put the cursor on the shot, if it is listed."""
        instrument = Instrument(place.identity.partition("/")[0])
        branch = next((node for node in self.root.children if node.data == instrument), None)
        key = place.identity.partition("/")[2]

        def find(node: TreeNode[Place | None]) -> None:
            for child in node.children:
                data = child.data
                if data == place:
                    child.expand()
                    self.call_after_refresh(self.move_cursor, child)
                    return
                if isinstance(data, Folder) and key.startswith(data.prefix):
                    descend(child)
                    return
            # it stands behind "more ...": shown at the end of what is listed
            self._add(node, Entry(key, "", place, True))
            self.call_after_refresh(self.move_cursor, node.children[-1])

        def descend(node: TreeNode[Place | None]) -> None:
            if id(node) in self._loaded:
                node.expand()
                find(node)
            else:
                self._load(node, find)
                node.expand()

        if branch is not None:
            descend(branch)

    def _branches(self) -> list[TreeNode[Place | None]]:
        return [self.root, *self.root.children]

    def _add(self, parent: TreeNode[Place | None], entry: Entry) -> None:
        label = Text(printable(entry.label), no_wrap=True)
        about = f"  {printable(entry.about)}"
        label.append(about, DIM if self._colored else "dim")
        if entry.children:
            parent.add(label, entry.place)
        else:
            parent.add_leaf(label, entry.place)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Place | None]) -> None:
        """Ask for what is below."""
        event.stop()
        if id(event.node) not in self._loaded and event.node.data is not None:
            self._load(event.node)

    def _load(self, node: TreeNode[Place | None], then: Any = None) -> None:
        place = node.data
        assert place is not None
        more = isinstance(place, More)
        branch = node.parent if more and node.parent is not None else node
        self._loaded.add(id(node))
        if not more:
            node.remove_children()
            node.add_leaf(Text("...", "dim"), None)

        def fill(entries: list[Entry]) -> None:
            if more:
                node.remove()
            else:
                branch.remove_children()
            for entry in entries:
                self._add(branch, entry)
            if then is not None:
                then(branch)

        def failed(problem: str) -> None:
            self._loaded.discard(id(node))
            branch.remove_children()
            style = MARK if self._colored else "bold"
            branch.add_leaf(Text(f"! {problem}", style, no_wrap=True), None)

        self._loader.ask(f"tree {id(node)}", lambda a: children(a, place), fill, failed)

    def load_more(self, node: TreeNode[Place | None]) -> None:
        """Put the next children in the place of a line ``more ...``."""
        if id(node) not in self._loaded:
            self._load(node)

    def action_open_branch(self) -> None:
        """Open a branch, or go to its first line."""
        node = self.cursor_node
        if node is None:
            return
        if node.allow_expand and not node.is_expanded:
            node.expand()
        elif node.children:
            self.move_cursor(node.children[0])

    def action_close_branch(self) -> None:
        """Close a branch, or go to the one it is in."""
        node = self.cursor_node
        if node is None:
            return
        if node.is_expanded and node.allow_expand:
            node.collapse()
        elif node.parent is not None:
            self.move_cursor(node.parent)
