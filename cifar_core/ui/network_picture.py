"""The network as a picture: blocks in a row from image to classes, frozen ones cool, training ones warm."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.wording import trained_share


def network_picture(
    experiment: Experiment, phase: int, *, key: str, on_click: Callable[[int], None] | None = None
) -> None:
    """Draw a phase's blocks and the sentence below them. `on_click` receives the position of a clicked block."""
    blocks = experiment.networks[phase].blocks
    with st.container(horizontal=True, gap="small", key=key):
        for position, block in enumerate(blocks):
            frozen = not block.trainable and bool(block.params)
            colour, icon = ("blue", "ac_unit") if frozen else ("orange", "local_fire_department")
            count = f"{block.params:,}" if frozen else f"{block.trainable:,}"
            label = f":{colour}[{block.name.replace('_', ' ')}]  \n{count}"
            words = f"{block.name}: {', '.join(block.layers)}. {count} parameters " + ("stay." if frozen else "train.")
            if on_click is None:
                with st.container(border=True, width="content"):
                    st.markdown(f":{colour}[:material/{icon}:] {label}", help=words)
                continue
            st.button(
                label,
                key=f"{key}.{position}",
                icon=f":material/{icon}:",
                on_click=on_click,
                args=(position,),
                help=f"{words} Click to move the freeze boundary here.",
            )
    st.caption(trained_share(experiment, phase))


_ROWS_SHOWN = 20


def layer_table(experiment: Experiment, phase: int) -> pd.DataFrame:
    """Return a phase's layers with type and L2 penalty, output shape, parameters, and whether they train.

    Where some of a trainable layer's parameters are measured and not trained, as batch normalization's, how many are
    trained stands there too.
    """
    layers = experiment.networks[phase].layers
    differ = any(layer.trainable and layer.trained < layer.params for layer in layers)
    return pd.DataFrame(
        [
            {
                "layer": layer.name,
                "type": layer.layer.keras_type + (f", L2 {penalty:g}" if penalty else ""),
                "output shape": " × ".join(map(str, layer.output_shape)),
                "parameters": layer.params,
                **({"trained": layer.trained} if differ else {}),
                "state": "trainable" if layer.trainable else "frozen",
            }
            for layer in layers
            for penalty in [getattr(layer.layer, "l2", 0.0)]
        ]
    )


def show_layers(experiment: Experiment, phase: int) -> None:
    """Show the layer table with its totals, counted as Keras counts a model."""
    network = experiment.networks[phase]
    st.dataframe(
        layer_table(experiment, phase),
        hide_index=True,
        height="content" if len(network.layers) <= _ROWS_SHOWN else 35 * (_ROWS_SHOWN + 1),
        column_config={name: st.column_config.NumberColumn(format="localized") for name in ("parameters", "trained")},
        alt=f"Layers of the phase {experiment.phases[phase].name}",
    )
    st.markdown(
        f"Total **{network.total:,}** · trainable **{network.trainable:,}** · "
        f"non-trainable **{network.non_trainable:,}**. The optimizer's own variables are not counted."
    )
