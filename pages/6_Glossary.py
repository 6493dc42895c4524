"""Every term in one place."""

import streamlit as st

from cifar_core.ui.glossary import TERMS
from cifar_core.ui.page import set_up

set_up("Glossary")
st.title("Glossary")
for term in sorted(TERMS):
    st.subheader(term[0].upper() + term[1:], anchor=term.replace(" ", "-"))
    st.write(TERMS[term])
