"""Every term in one place."""

from itertools import groupby

import streamlit as st

from cifar_core.ui.glossary import TERMS
from cifar_core.ui.page import set_up

set_up("Glossary")
st.title("Glossary", anchor=False)
# Headings in one text: each has an anchor of its own, by which help texts link to it.
parts = []
for letter, terms in groupby(sorted(TERMS, key=str.lower), lambda term: term[0].upper()):
    parts += [f"## {letter}", *(f"### {term[0].upper()}{term[1:]}\n\n{TERMS[term]}" for term in terms)]
st.markdown("\n\n".join(parts))
