"""The lab notebook: every run in order, what it changed and what came of it, with notes; and keeping house."""

from collections.abc import Sequence

import streamlit as st

from cifar_core.analysis.exports import to_csv
from cifar_core.analysis.labels import SEPARATOR, labels
from cifar_core.analysis.notebook import Entry, changed, entries, outcome, table, to_markdown, what_goes
from cifar_core.experiment.measured import Run
from cifar_core.ui import reads
from cifar_core.ui.page import set_up
from cifar_core.ui.text import plain

set_up("Notebook")
store = reads.store()
ON_A_PAGE = 20


def pick(runs: Sequence[str], picked: bool) -> None:
    """Select runs, or none of them."""
    for run in runs:
        st.session_state[f"pick.{run}"] = picked


def archive(runs: Sequence[Run], archived: bool) -> None:
    """Put runs away, or get them back."""
    for run in runs:
        store.archive(run.id, archived)
    reads.runs.clear()


def delete(runs: Sequence[Run]) -> None:
    """Delete those of the runs that have ended."""
    for run in runs:
        if run.state.is_finished:
            store.delete(run.id)
    reads.runs.clear()


def rename(run: Run) -> None:
    """Keep the name and the note that were typed."""
    name = st.session_state[f"name.{run.id}"].strip()
    store.rename(run.id, name or run.name)
    store.set_note(run.id, st.session_state[f"note.{run.id}"])
    reads.runs.clear()


def write(entry: Entry) -> None:
    """One run: when, its name as a link, what it changed, what came of it, and its note."""
    run, before = entry
    page = "pages/3_Results.py" if run.state.is_finished else "pages/2_Live.py"
    with st.container(gap="small"):
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.checkbox(
                f"Select {plain(run.name)}", key=f"pick.{run.id}", label_visibility="collapsed", width="content"
            )
            st.page_link(page, label=f"**{plain(run.name)}**", query_params={"run": run.id})
        when = f"{run.created:%Y-%m-%d %H:%M} UTC"
        said = [when, run.id, str(run.state), *(["archived"] if run.archived else []), *labels(run)]
        st.caption(plain(SEPARATOR.join(said)))
        st.markdown(f"**Changed:** {plain(changed(run, before))}  \n**Result:** {plain(outcome(run, before))}")
        if run.note:
            st.markdown("\n".join(f"> {plain(line)}  " for line in run.note.splitlines()))


def keep_house(picked: Sequence[Run]) -> None:
    """What can be done with the selected runs: always in its place, and asleep until it can be done."""
    with st.popover("Name and note", icon=":material/edit_note:", disabled=len(picked) != 1):
        if len(picked) == 1:
            (run,) = picked
            st.text_input("Name", run.name, key=f"name.{run.id}", max_chars=200, on_change=rename, args=(run,))
            st.text_area("Note", run.note, key=f"note.{run.id}", max_chars=5000, on_change=rename, args=(run,))
    away, back = ([run for run in picked if run.archived is archived] for archived in (False, True))
    st.button("Archive", icon=":material/archive:", on_click=archive, args=(away, True), disabled=not away)
    st.button("Bring back", icon=":material/unarchive:", on_click=archive, args=(back, False), disabled=not back)
    st.page_link(
        "pages/4_Compare.py",
        label="Compare",
        icon=":material/compare_arrows:",
        query_params={"runs": ",".join(run.id for run in picked)},
        disabled=not 2 <= len(picked) <= 8,
    )
    ended = any(run.state.is_finished for run in picked)
    with st.popover("Delete for good", icon=":material/delete:", disabled=not ended):
        if ended:
            st.write(what_goes(picked))
            st.button("Delete now", type="primary", on_click=delete, args=(picked,))


st.title("Notebook")
with st.container(horizontal=True, vertical_alignment="bottom"):
    search = st.text_input(
        "Search",
        key="search",
        bind="query-params",
        icon=":material/search:",
        placeholder="words of a name or note, a run's id, a state",
    )
    archived = st.toggle("Show archived runs", key="with_archived", bind="query-params")
found = entries(reads.runs(archived=archived), search)
if not found:
    if search:
        st.info("No run has all these words in its name, note, id or state.", icon=":material/search_off:")
    else:
        st.info("No run yet. Every run writes itself down here.", icon=":material/history_edu:")
        st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
    st.stop()

pages = -(-len(found) // ON_A_PAGE)
page = st.pagination(pages, key="sheet", bind="query-params") if pages > 1 else 1
shown = found[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
house = st.container(border=True)
for each in shown:
    write(each)

picked = [run for run, _ in shown if st.session_state.get(f"pick.{run.id}")]
ids = [run.id for run, _ in shown]
with house:
    with st.container(horizontal=True, vertical_alignment="center"):
        if picked:
            st.button("Select none", on_click=pick, args=(ids, False))
        else:
            st.button("Select all" if pages == 1 else "Select this page", on_click=pick, args=(ids, True))
        keep_house(picked)
    st.caption(f"{len(picked)} selected." if picked else "Select runs to name, note, compare, archive or delete them.")
with st.container(horizontal=True):
    st.download_button("Notebook (Markdown)", lambda: to_markdown(found), "lab-notebook.md", "text/markdown")
    st.download_button("Notebook (CSV)", lambda: to_csv(table(found)), "lab-notebook.csv", "text/csv")
