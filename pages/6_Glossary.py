"""Every term in one place."""

import streamlit as st

from cifar_core.ui.glossary import TERMS
from cifar_core.ui.page import set_up

set_up("Glossary")
st.title("Glossary")
# Headings in one text: each has an anchor of its own, by which help texts link to it.
st.markdown("\n\n".join(f"#### {term[0].upper()}{term[1:]}\n\n{TERMS[term]}" for term in sorted(TERMS, key=str.lower)))
