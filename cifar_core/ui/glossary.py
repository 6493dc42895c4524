"""Each term in one short paragraph, where it stands and on the Glossary page."""

TERMS: dict[str, str] = {
    "accuracy": "The share of images whose most probable class is the right one. Beside it stand n, the number of "
    "images it was measured on, and the 95 % interval that so many images allow.",
    "backbone": "The network without its output layer, from the image to the last hidden layer. It comes in blocks, "
    "the natural places to freeze up to.",
    "baseline": "The run that others are compared with. Differences are given in points, with a sign.",
    "batch size": "How many images one step of training sees. Smaller batches make more and noisier steps an epoch.",
    "batchnorm in inference mode": "A frozen batch normalization uses the averages it has stored, and does not update "
    "them. Dropout is different: it goes on dropping in a frozen part while training.",
    "chance level": "The accuracy of guessing: one divided by the number of classes.",
    "class split": "Which classes the network learns first (source) and which it is transferred to (target). They may "
    "overlap. With kept outputs, the first source class and the first target class share an output.",
    "confusion matrix": "Rows are the true classes, columns the predicted ones: what is off the diagonal was confused.",
    "epoch": "One pass over all training images of the phase, in an order of its own.",
    "epoch 0": "What the network can do before the phase's first step. After a change of classes it shows what was "
    "transferred before anything was learned.",
    "freeze depth": "How much of the network, counted from the image, keeps its weights. Frozen layers still compute; "
    "they no longer learn. The deeper the freeze, the fewer parameters train and the less can be adapted "
    "(Yosinski et al. 2014).",
    "head": "The end of the network. A phase keeps the head it finds, or puts new layers and a new output there.",
    "learning rate": "How far each step goes. Too high, and the loss explodes; too low, and nothing moves. Fine-tuning "
    "usually takes a lower one than training from scratch.",
    "macro f1": "The harmonic mean of precision and recall, of each class, averaged with every class counting alike.",
    "optimizer": "The rule that turns gradients into steps. It starts anew in every phase.",
    "output": "One number per class, read as its probability. Usually there is one output for each class of the phase; "
    "with one for each class of the data set, labels keep their numbers, and some outputs stay unused.",
    "parameters": "The numbers a network consists of. Counted as Keras counts a model; what the optimizer keeps beside "
    "them is not included.",
    "phase": "One training within an experiment: on some classes, with some layers frozen. Weights carry over from "
    "phase to phase.",
    "proof of freezing": "How far each layer's weights moved during a phase, as the norm of the difference. A frozen "
    "layer must show exactly 0.",
    "seed": "The number from which all randomness of a run follows. The same experiment, seed and machine give the "
    "same run, digit by digit; other seeds show how much of a difference is luck.",
    "surgical fine-tuning": "Training one block only, even the first (Lee et al. 2022).",
    "validated on the test set": "The images that the curves are validated on are also the ones that test the final "
    "model, as in most publications. Whoever chooses by such curves gets optimistic numbers.",
    "validation": "Images that are not trained on, and show after every epoch how well the network does. By default a "
    "share of the training images; the test images stay unseen until the end.",
}


def help_for(term: str) -> str:
    """Return the paragraph on a term, with a link to the glossary."""
    return f"{TERMS[term]} [Glossary](/Glossary#{term.replace(' ', '-')})"
