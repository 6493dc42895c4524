"""The lab notebook: every run in order, what it changed and what came of it, with notes; and keeping house."""

from collections.abc import Sequence

import streamlit as st

from cifar_core.analysis.exports import to_csv
from cifar_core.analysis.labels import SEPARATOR, labels
from cifar_core.analysis.notebook import (
    JUDGED_BY,
    Entry,
    changed_in_short,
    entries,
    outcome,
    table,
    to_markdown,
    what_goes,
)
from cifar_core.analysis.predictions import PredictionsError
from cifar_core.analysis.verdict import Paired, paired
from cifar_core.experiment import links
from cifar_core.experiment.measured import Comparison, Run
from cifar_core.runs.errors import ArtifactsUnusable
from cifar_core.ui import people, reads
from cifar_core.ui.housekeeping import archive, delete, name_and_note
from cifar_core.ui.page import set_up
from cifar_core.ui.text import plain

set_up("Notebook")
ON_A_PAGE = 20


def pick(runs: Sequence[str], picked: bool) -> None:
    """Select runs, or none of them."""
    for run in runs:
        st.session_state[f"pick.{run}"] = picked


def tag(runs: Sequence[Run], before: Sequence[str], key: str) -> None:
    """Give runs the tags that were chosen for all of them; what only some had before stays theirs."""
    chosen = st.session_state[key]
    for run in runs:
        own = [tag for tag in run.tags if tag not in before]
        people.changing(run.id).set_tags(run.id, [*own, *chosen])
    reads.runs.clear()


def image_by_image(run: Run, before: Run) -> Paired | None:
    """Compare two runs on their test images, where both kept what they predicted and it is in reach."""
    try:
        return _image_by_image(run.id, before.id)
    except ArtifactsUnusable:
        return None


@st.cache_resource(max_entries=5000, show_spinner=False)
def _image_by_image(run: str, before: str) -> Paired | None:
    try:
        mine, theirs = reads.predictions_or_error(run, "test"), reads.predictions_or_error(before, "test")
        return paired(mine, theirs) if mine and theirs else None
    except (PredictionsError, ValueError):
        return None


def write_comparison(kept: Comparison) -> None:
    """One comparison that was kept: when, its name as a link, of which runs, and its note."""
    with st.container(gap="small"):
        st.page_link(
            "pages/4_Compare.py",
            label=f"**{plain(kept.name)}**",
            icon=":material/compare_arrows:",
            query_params={"comparison": kept.id},
        )
        said = [f"{kept.created:%Y-%m-%d %H:%M} UTC", "comparison", f"of {', '.join(kept.runs)}"]
        st.caption(plain(SEPARATOR.join(said)))
        write_note(kept.note)


def write_note(note: str) -> None:
    """A note as it was typed."""
    if note:
        st.markdown("\n".join(f"> {plain(line)}  " for line in note.splitlines()))


def write(entry: Entry) -> None:
    """One run: when, its name as a link, what it changed, what came of it, and its note."""
    run, before = entry
    page = "pages/3_Results.py" if run.state.is_finished else "pages/2_Live.py"
    with st.container(gap="small"):
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.checkbox(
                f"Select {plain(run.name)}", key=f"pick.{run.id}", label_visibility="collapsed", width="content"
            )
            st.page_link(page, label=f"**{plain(run.name)}**", query_params={"run": run.id}, width="stretch")
        when = f"{run.created:%Y-%m-%d %H:%M} UTC"
        said = [when, run.id, str(run.state), people.whose(run), *(["archived"] if run.archived else []), *labels(run)]
        st.caption(plain(SEPARATOR.join(filter(None, said))))
        result = outcome(run, before, image_by_image)
        st.markdown(f"**Changed:** {plain(changed_in_short(run, before))}  \n**Result:** {plain(result)}")
        if run.tags:
            with st.container(horizontal=True, gap="small"):
                for each in run.tags:
                    st.badge(plain(each), icon=":material/sell:", color="blue")
        write_note(run.note)


def keep_house(picked: Sequence[Run]) -> None:
    """What can be done with the selected runs: always in its place, and asleep until it can be done."""
    reason = next(filter(None, map(people.why_not, picked)), None)
    one = len(picked) == 1 and not reason
    with st.popover("Name and note", icon=":material/edit_note:", disabled=not one, help=reason):
        if one:
            name_and_note(picked[0])
    with st.popover("Tags", icon=":material/sell:", disabled=not picked or bool(reason), help=reason):
        if picked and not reason:
            shared = [each for each in picked[0].tags if all(each in run.tags for run in picked)]
            key = f"tags.{','.join(run.id for run in picked)}"
            st.multiselect(
                "Tags",
                dict.fromkeys([*shared, *every_tag]),
                default=shared,
                key=key,
                accept_new_options=True,
                placeholder="Choose, or type a new one",
                on_change=tag,
                args=(picked, shared, key),
            )
    away, back = ([run for run in picked if run.archived is archived] for archived in (False, True))
    for label, icon, runs, archived in (("Archive", "archive", away, True), ("Bring back", "unarchive", back, False)):
        st.button(
            label,
            icon=f":material/{icon}:",
            on_click=archive,
            args=(runs, archived),
            disabled=bool(reason) or not runs,
            help=reason,
        )
    if st.button("Open in the form", icon=":material/edit:", disabled=len(picked) != 1):
        (run,) = picked
        st.switch_page("pages/1_Experiment.py", query_params=links.link(links.SCRATCH, run.experiment, run.seed))
    if st.button("Compare", icon=":material/compare_arrows:", disabled=not 2 <= len(picked) <= 8):
        st.switch_page("pages/4_Compare.py", query_params={"runs": ",".join(run.id for run in picked)})
    ended = any(run.state.is_finished for run in picked) and not reason
    with st.popover("Delete for good", icon=":material/delete:", disabled=not ended, help=reason):
        if ended:
            st.write(what_goes(picked))
            st.button("Delete now", type="primary", on_click=delete, args=(picked,))


st.title("Notebook", anchor=False)
with st.container(horizontal=True, vertical_alignment="bottom"):
    search = st.text_input(
        "Search",
        key="search",
        bind="query-params",
        icon=":material/search:",
        placeholder="words of a name, tag or note, a run's id, a state",
    )
    archived = st.toggle("Show archived runs", key="with_archived", bind="query-params")
every_tag = sorted({each for run in reads.runs(archived=archived) for each in run.tags})
tags = st.pills("Tags", every_tag, selection_mode="multi", key="tags", bind="query-params") if every_tag else []
found = entries(reads.runs(archived=True), search, () if tags else reads.store().comparisons(), archived=archived)
found = [each for each in found if isinstance(each, Comparison) or set(tags) <= set(each[0].tags)]
if not found:
    if search or tags:
        st.info("No run has all these words in its name, tags, note, id or state.", icon=":material/search_off:")
    else:
        st.info("No run yet. Every run writes itself down here.", icon=":material/history_edu:")
        st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
    st.stop()

pages = -(-len(found) // ON_A_PAGE)
page = st.pagination(pages, key="sheet", bind="query-params") if pages > 1 else 1
shown = found[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
house = st.container(border=True)
for each in shown:
    if isinstance(each, Comparison):
        write_comparison(each)
    else:
        write(each)

runs = [each[0] for each in shown if not isinstance(each, Comparison)]
picked = [run for run in runs if st.session_state.get(f"pick.{run.id}")]
ids = [run.id for run in runs]
with house:
    with st.container(horizontal=True, vertical_alignment="center"):
        if picked:
            st.button("Select none", on_click=pick, args=(ids, False))
        else:
            st.button("Select all" if pages == 1 else "Select this page", on_click=pick, args=(ids, True))
        keep_house(picked)
    st.caption(f"{len(picked)} selected." if picked else "Select runs to name, tag, compare, archive or delete them.")
st.caption(f"{JUDGED_BY} The files have every change in full.")
with st.container(horizontal=True):
    st.download_button(
        "Notebook (Markdown)", lambda: to_markdown(found, image_by_image), "lab-notebook.md", "text/markdown"
    )
    st.download_button("Notebook (CSV)", lambda: to_csv(table(found, image_by_image)), "lab-notebook.csv", "text/csv")
