"""The program behind ``corecube browse``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.text import Text
from textual.app import App
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.filter import NoColor
from textual.message import Message
from textual.widgets import Footer, Static, Tree

from corecube.text import printable
from corecube_cli.browse import contents, facts, images, questions, rowsources, signals, spectra
from corecube_cli.browse.archivetree import ArchiveTree
from corecube_cli.browse.details import Details
from corecube_cli.browse.fitting import cut
from corecube_cli.browse.helptext import Help
from corecube_cli.browse.imageview import ImageView
from corecube_cli.browse.loading import BACKGROUND, PREVIEW, USER, Job, Loader
from corecube_cli.browse.places import (
    Fiber,
    Folder,
    Group,
    Instrument,
    More,
    Picture,
    Pictures,
    Place,
    Shot,
    Spectra,
)
from corecube_cli.browse.prompt import Prompt
from corecube_cli.browse.rowtable import RowTable
from corecube_cli.browse.spectrumview import SpectrumView
from corecube_cli.browse.titlebar import TitleBar

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Resize
    from textual.timer import Timer

    from corecube_cli.browse.contents import Overview
    from corecube_cli.browse.images import Facts
    from corecube_cli.browse.rowsources import FixedRows, RowSource
    from corecube_cli.browse.spectra import Spectrum

SMALLEST: Final = (50, 14)
"""Columns and lines that are needed."""
WIDE: Final = (110, 30)
"""From here on the parts stand side by side."""
_REST: Final = 0.06
"""Seconds that a cursor rests before what it stands on is read (50 to 100 ms are usual)."""
_WATCH: Final = 2.0
"""Seconds between looks at whether the archive has changed."""
_HERE: Final = "2arcsec"


class BrowseApp(App[int]):
    """Tree, table, view and details of an archive.

    Parameters
    ----------
    path : Path
    question : str
        What to look for first, as behind ``/``.
    radius : str
    colored : bool
        False: no colour at all.

    Attributes
    ----------
    failure : BaseException or None
        Why the archive could not be opened; the app has ended then.
    """

    CSS_PATH = "browse.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "corecube browse"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("slash", "search", "Go to", key_display="/"),
        Binding("d", "details", "Details"),
        Binding("escape", "step_back", "Back", key_display="Esc"),
        Binding("tab", "app.focus_next", "Next part", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "leave", "Quit", show=False),
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True),
    ]

    class Answered(Message):
        """The archive's thread has finished a job."""

        def __init__(self, job: Job) -> None:
            self.job = job
            super().__init__()

    def __init__(
        self, path: Path, question: str = "", radius: str = "", *, colored: bool = True
    ) -> None:
        super().__init__()
        if not colored:
            # Textual turns colours into greys unless it has begun with a theme of the terminal's
            self.no_color = True
            self._filters[:] = [NoColor()]
        self.path = path
        self.failure: BaseException | None = None
        self.overview: Overview | None = None
        self.colored = colored
        self._first = (question, radius)
        self.loader = Loader(path, self._deliver)
        self._rest: Timer | None = None
        self._complaint = ""
        self._before = "tree"
        self._wanted: Place | None = None

    def _deliver(self, job: Job) -> None:
        self.post_message(self.Answered(job))  # from the archive's thread, which this may be

    # -- the screen ------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Give the parts."""
        colored = self.colored
        yield TitleBar(self.path.name, self.loader, id="title")
        yield Prompt(id="prompt")
        with Horizontal(id="parts"):
            with Vertical(id="left"):
                yield ArchiveTree(self.path.name, self.loader, colored=colored, id="tree")
                yield Details(colored=colored, id="details")
            with Vertical(id="right"):
                yield Static(Text(""), id="table-title", markup=False)
                yield RowTable(self.loader, colored=colored, id="rows")
                yield SpectrumView(colored=colored, id="spectrum")
                yield ImageView(self.loader, colored=colored, id="image")
                yield Static(Text(""), id="message", markup=False)
        yield Static(Text(""), id="small", markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to read; the screen is there already."""
        if not self.colored:
            self.theme = "ansi-dark"
        self.branches.focus()
        self._go("tree")
        self._view(None)
        self.loader.start()
        if not self.is_headless:
            signals.end_on_signals(self)

        def failed(problem: str) -> None:
            self.exit(1)

        def opened(overview: Overview) -> None:
            self._fill(overview)
            question, radius = self._first
            if question:
                self._search(question, radius or questions.RADIUS)
            else:
                self._fill_right()

        self.loader.ask("overview", self._open_first, opened, failed)
        self.set_interval(_WATCH, self._watch)

    def _open_first(self, archive: Any) -> Overview:
        return contents.overview(archive)

    def _handle_exception(self, error: Exception) -> None:
        """End with a clean screen; who has started the browser says what went wrong."""
        if self.is_headless:
            super()._handle_exception(error)
        else:
            self.failure = self.failure or error
            self.exit(1)

    def on_unmount(self) -> None:
        """End the archive's thread."""
        self.loader.stop()

    def on_browse_app_answered(self, event: Answered) -> None:
        """Hand out an answer."""
        if event.job.slot == "overview":
            self.failure = event.job.error
        self.loader.finish(event.job)

    @property
    def branches(self) -> ArchiveTree:
        """The tree."""
        return self.query_one("#tree", ArchiveTree)

    @property
    def rows(self) -> RowTable:
        """The table."""
        return self.query_one("#rows", RowTable)

    @property
    def spectrum(self) -> SpectrumView:
        """The spectrum."""
        return self.query_one("#spectrum", SpectrumView)

    @property
    def image(self) -> ImageView:
        """The image."""
        return self.query_one("#image", ImageView)

    @property
    def details(self) -> Details:
        """The details."""
        return self.query_one("#details", Details)

    @property
    def prompt(self) -> Prompt:
        """The line behind ``/``."""
        return self.query_one("#prompt", Prompt)

    def on_resize(self, event: Resize) -> None:
        """Choose the layout."""
        width, height = event.size
        self.set_class(width < SMALLEST[0] or height < SMALLEST[1], "too-small")
        self.set_class(width >= WIDE[0] and height >= WIDE[1], "wide")
        self.set_class(width >= 160 and height >= WIDE[1], "very-wide")
        need = f"corecube browse needs {SMALLEST[0]} x {SMALLEST[1]}, this is {width} x {height}"
        self.query_one("#small", Static).update(Text(cut(need, width)))
        self._fill_right()

    def _fill_right(self) -> None:
        """Show all shots where there is room for a table and nothing has been asked for."""
        wanted = self.has_class("wide") and self.overview is not None
        if wanted and self.rows.source is None and self.view is None:
            self.loader.ask(
                "table", rowsources.open_shots,
                lambda source: self._show_table(source, focus=False), self._fail_view, PREVIEW,
            )  # fmt: skip

    def _go(self, part: str) -> None:
        """Say which part the user is in; small screens show only that."""
        for name in ("tree", "rows", "view", "details"):
            self.set_class(name == part, f"at-{name}")

    def _view(self, name: str | None, message: str = "") -> None:
        """Show one of the views, or a message in its place."""
        for part in ("spectrum", "image", "message"):
            self.query_one(f"#{part}").display = part == name
        self.set_class(name is not None, "has-view")
        if name == "message":
            style = "bold"
            self.query_one("#message", Static).update(Text(f"! {message}", style))

    @property
    def view(self) -> SpectrumView | ImageView | None:
        """The view that is shown."""
        for view in (self.spectrum, self.image):
            if view.display:
                return view
        return None

    def on_descendant_focus(self) -> None:
        """Follow the focus, also where the mouse has set it."""
        focused = self.focused
        parts: dict[Any, str] = {self.branches: "tree", self.rows: "rows", self.details: "details"}
        if isinstance(focused, SpectrumView | ImageView):
            self._go("view")
        elif focused in parts:
            self._go(parts[focused])

    # -- the tree --------------------------------------------------------------------------------

    def _fill(self, overview: Overview) -> None:
        self.overview = overview
        self._show_archive()
        self.branches.fill(overview)
        self.query_one("#title", TitleBar).tell(overview)

    def _watch(self) -> None:
        """Look whether somebody has written into the archive, or closed the terminal."""
        if not self.is_headless and signals.terminal_gone():
            signals.end(self, signals.HUNG_UP)
            return

        def then(overview: Overview) -> None:
            if self.overview is not None and overview.generation != self.overview.generation:
                self._fill(overview)
                self.notify("the archive has changed; the tree shows what it holds now",
                            markup=False, timeout=4)  # fmt: skip

        def failed(problem: str) -> None:
            if problem != self._complaint:
                self._complaint = problem
                self.notify(problem, severity="error", markup=False, timeout=10)

        if self.overview is None:
            return
        known = self.overview

        def look(archive: Any) -> Overview:
            same = archive.state.manifest.generation == known.generation
            return known if same else contents.overview(archive)

        self.loader.ask("watch", look, then, failed, BACKGROUND)

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Place | None]) -> None:
        """Show the details of a line when the cursor rests on it."""
        place = event.node.data
        if place is None:
            if event.node.is_root:
                self.loader.forget("details")
                self._later(self._show_archive)
            return
        self._later(lambda: self._show_facts(place))

    def _show_archive(self) -> None:
        """Show what is known of the whole, and how to go on."""
        about = facts.Section(printable(self.path.name))
        about.add("folder", str(self.path.parent))
        if self.overview is not None:
            about.add("shots", self.overview.shots)
            about.add("fibres", self.overview.fibers)
            about.add("images", self.overview.images)
            about.add("generation", self.overview.generation)
        lines = ["Arrows move, Enter opens. / goes to a position or a name, ? shows all keys."]
        self.details.show([about, facts.Section("where to go", [], lines)])

    def _show_facts(self, place: Place) -> None:
        self.loader.ask(
            "details", lambda a: facts.facts_of(a, place), self.details.show, self.details.fail,
            PREVIEW,
        )  # fmt: skip

    def on_tree_node_selected(self, event: Tree.NodeSelected[Place | None]) -> None:
        """Open what Enter or a click has chosen."""
        place = event.node.data
        if isinstance(place, Group | Spectra | Pictures):
            self._open_table(place)
        elif isinstance(place, Picture):
            self._open(place, focus=True)
        elif isinstance(place, More):
            self.branches.load_more(event.node)
        else:
            event.node.toggle()

    def _later(self, work: Any) -> None:
        """Do something when the cursor has rested; what waited before is dropped."""
        if self._rest is not None:
            self._rest.stop()

        def rested() -> None:
            if self._rest is timer:  # else it was stopped when this was on its way already
                self._rest = None
                work()

        timer = self._rest = self.set_timer(_REST, rested)

    @property
    def idle(self) -> bool:
        """Whether nothing is being read and no cursor has just been moved."""
        return self._rest is None and not self.loader.busy()

    # -- tables ----------------------------------------------------------------------------------

    def _open_table(self, place: Group | Spectra | Pictures) -> None:
        self.loader.ask(
            "table", lambda a: rowsources.open_rows(a, place), self._show_table, self._fail_view
        )

    def _show_table(self, source: RowSource, *, focus: bool = True) -> None:
        self._view(None)
        self.rows.styles.max_height = max(source.count, 1) + 3
        title = f" {source.title}   {source.count} {'row' if source.count == 1 else 'rows'}"
        self.query_one("#table-title", Static).update(Text(title, no_wrap=True))
        self.add_class("has-rows")
        self.rows.show(source)
        if focus:
            self._go("rows")
            self.rows.focus()

    def _fail_view(self, problem: str) -> None:
        self._view("message", problem)
        if not self.query_one("#right").display:  # a small screen, and the user is in the tree
            self.notify(f"! {problem}", severity="error", markup=False, timeout=10)

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        """Show what the cursor of the table rests on."""
        source = self.rows.source
        if source is not None and event.row < source.count and not self.branches.has_focus:
            place = source.place(event.row)
            self._later(lambda: self._open(place, focus=False))

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """Do with a row what was wished."""
        source = self.rows.source
        assert source is not None
        place = source.place(event.row)
        if event.wish == "exposures":
            if isinstance(place, Fiber):
                self._exposures(place)
            else:
                self.notify("only spectra have more spectra", markup=False, timeout=3)
        elif event.wish == "same place":
            self._same_place(place)
        elif isinstance(place, Shot):
            self._go("tree")
            self.branches.focus()
            self.branches.reveal(place)
        else:
            self._open(place, focus=True)

    def _exposures(self, place: Fiber) -> None:
        from corecube.archive.names import FiberRow

        def read(archive: Any) -> FixedRows | None:
            row = FiberRow(archive, archive.record(place.shot), place.group, place.row)
            found = row.related()
            title = f"more spectra of {row.name}"
            return rowsources.named_rows(found, title) if found else None

        def then(source: RowSource | None) -> None:
            if source is None:
                self.notify("this fibre has no more spectra", markup=False, timeout=3)
            else:
                self._show_table(source)

        self.loader.ask("table", read, then, self._fail_view)

    def _same_place(self, place: Place) -> None:
        def read(archive: Any) -> RowSource | None:
            ra, dec = facts.place_of(archive, place)
            if ra is None or dec is None:
                return None
            return questions.ask(archive, f"{ra!r} {dec!r}", _HERE)

        def then(source: RowSource | None) -> None:
            if source is None:
                self.notify("this has no place on the sky", markup=False, timeout=3)
            else:
                self._show_table(source)

        self.loader.ask("table", read, then, self._fail_view)

    def action_step(self, by: int) -> None:
        """Go to the next or previous row and stay in the view."""
        self.rows.move_to(self.rows.cursor + by)

    # -- views -----------------------------------------------------------------------------------

    def _open(self, place: Place, *, focus: bool) -> None:
        """Read what a place stands for and show it."""
        urgency = USER if focus else PREVIEW
        self._wanted = place if focus else None
        if focus and self._rest is not None:  # else the cursor's rest would overtake the user
            self._rest.stop()
            self._rest = None
        if isinstance(place, Fiber):
            self.loader.ask(
                "view", lambda a: spectra.read_spectrum(a, place),
                lambda found: self._show_spectrum(found), self._fail_view, urgency,
            )  # fmt: skip
        elif isinstance(place, Picture):
            self.loader.ask(
                "view", lambda a: images.read_facts(a, place),
                lambda found: self._show_image(found), self._fail_view, urgency,
            )  # fmt: skip
        elif not isinstance(place, Instrument | Folder | More):
            self._view(None)
            self._show_facts(place)

    def _show_details(self, read: Any) -> None:
        """Show what is known of what has come into the view; it may take longer than that."""
        self.loader.ask("details", read, self.details.show, self.details.fail, PREVIEW)

    def _show_spectrum(self, found: Spectrum) -> None:
        self.spectrum.show(found)
        self._show_details(lambda archive: spectra.spectrum_facts(archive, found))
        self._view("spectrum")
        if self._wanted == found.place:
            self._go("view")
            self.spectrum.focus()

    def _show_image(self, found: Facts) -> None:
        self._view("image")
        self.image.show(found)
        self._show_details(lambda archive: facts.image_facts(archive, found.place))
        if self._wanted == found.place:
            self._go("view")
            self.image.focus()

    # -- search ----------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Open the line behind ``/``."""
        self.prompt.open()

    def on_prompt_closed(self) -> None:
        """Go back to where the keys went before; the answer is not waited for."""
        self._give_up()
        self.prompt.display = False
        self._refocus()

    def on_prompt_asked(self, event: Prompt.Asked) -> None:
        """Look for it."""
        row = questions.row_number(event.text)
        if row is not None:
            if self.rows.source is None or not 1 <= row <= self.rows.source.count:
                self.prompt.say(f"the table has no row {row}")
                return
            self.prompt.display = False
            self._go("rows")
            self.rows.focus()
            self.rows.move_to(row - 1)
            return
        self._search(event.text, event.radius)

    def _search(self, text: str, radius: str) -> None:
        def then(source: RowSource) -> None:
            self.prompt.display = False
            self._show_table(source)

        def failed(problem: str) -> None:
            if not self.prompt.display:
                self.prompt.open()
            self.prompt.say(problem)

        self.loader.ask("table", lambda a: questions.ask(a, text, radius), then, failed)

    def _refocus(self) -> None:
        if self.has_class("at-view") and self.view is not None:
            self.view.focus()
        elif self.has_class("at-rows"):
            self.rows.focus()
        elif self.has_class("at-details"):
            self.details.focus()
        else:
            self.branches.focus()

    # -- steps -----------------------------------------------------------------------------------

    def action_details(self) -> None:
        """Go to the details, or back."""
        if self.has_class("at-details"):
            self.action_step_back()
            return
        self._before = next(
            (name for name in ("view", "rows") if self.has_class(f"at-{name}")), "tree"
        )
        self._go("details")
        self.details.focus()

    def action_step_back(self) -> None:
        """Go one step back: details, view, table, tree; give up a table that is being read."""
        self._give_up()
        if self.has_class("at-details"):
            self._go(self._before)
            self._refocus()
        elif self.has_class("at-view") and self.has_class("has-rows"):
            self._go("rows")
            self.rows.focus()
        elif not self.has_class("at-tree"):
            self._go("tree")
            self.branches.focus()

    def _give_up(self) -> None:
        """Forget a table that was asked for, and show a view that comes without going there."""
        self.loader.forget("table")
        self._wanted = None

    def action_leave(self) -> None:
        """Quit, but only from the tree."""
        if self.has_class("at-tree"):
            self.exit(0)
        else:
            self.notify("Esc goes back; q quits from the tree, Ctrl-Q from everywhere",
                        markup=False, timeout=3)  # fmt: skip

    def action_help(self) -> None:
        """Show all keys."""
        self.push_screen(Help())


def colors_wanted(wanted: bool) -> bool:
    """Say whether colours may be used; an empty NO_COLOR does not count (no-color.org)."""
    if os.environ.get("NO_COLOR") == "":
        del os.environ["NO_COLOR"]
    if not wanted:
        os.environ["NO_COLOR"] = "1"
    return wanted and "NO_COLOR" not in os.environ
