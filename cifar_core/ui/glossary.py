"""Each term in one short paragraph, where it stands and on the Glossary page."""

import re

TERMS: dict[str, str] = {
    "accuracy": "The share of images whose most probable class is the right one. Beside it stand n, the number of "
    "images it was measured on, and the 95 % interval that so many images allow.",
    "augmentation": "Random changes to the training images, new ones in every epoch, so that the network does not "
    "learn single images by heart. Validation and test images stay as they are.",
    "augmented copies": "Each image is changed a number of times when the phase begins, and every epoch draws one of "
    "its copies. Less varied than new changes in every epoch, but frozen layers then compute each copy only once.",
    "backbone": "The network without its output layer, from the image to the last hidden layer. It comes in blocks, "
    "the natural places to freeze up to.",
    "baseline": "The run that others are compared with. Differences are given in points, with a sign.",
    "batch size": "How many images one step of training sees. Smaller batches make more and noisier steps an epoch.",
    "batch normalization": "A layer that brings each channel to mean 0 and deviation 1: of the batch while it trains, "
    "of stored averages otherwise (Ioffe & Szegedy 2015). The averages are measured, not trained.",
    "BatchNorm in inference mode": "A frozen batch normalization uses the averages it has stored, and does not update "
    "them. Dropout is different: it goes on dropping in a frozen part while training.",
    "chance level": "The accuracy of guessing: one divided by the number of classes.",
    "class split": "Which classes the network learns first (source) and which it is transferred to (target). They may "
    "overlap. With kept outputs, the first source class and the first target class share an output.",
    "class weights": "Balanced: an error counts by the inverse of its class's number of images, so that "
    "small classes matter as much as large ones.",
    "colour jitter": "Random factors, within 1 ± strength, on the brightness, contrast and saturation of each image.",
    "confusion matrix": "Rows are the true classes, columns the predicted ones: what is off the diagonal was confused. "
    "Row % are shares of the true class (recall on the diagonal), column % of the predicted one (precision).",
    "cutout": "Paints a grey square at a random place of each training image (DeVries & Taylor 2017).",
    "crop": "Shifts each training image by up to so many pixels each way; what comes in mirrors the border.",
    "dense layer": "Every unit sees all values of the layer before: as many weights as both have together, multiplied.",
    "discriminative learning rates": "Each block learns at this share of the rate of the block behind it, so that what "
    "is near the image, and more general, changes less (Howard & Ruder 2018). 1: all blocks alike.",
    "dropout": "While training, each value that reaches the layer behind is set to 0 with this probability, so that no "
    "unit can rely on another (Srivastava et al. 2014).",
    "early stopping": "Ends a phase when validation has not improved for some epochs, the patience, and keeps the "
    "weights of the best epoch (Prechelt 1998).",
    "epoch": "One pass over all training images of the phase, in an order of its own.",
    "epoch 0": "What the network can do before the phase's first step. After a change of classes it shows what was "
    "transferred before anything was learned.",
    "filters": "What a convolution looks for at every place of an image. Those of the first layer work on colours, and "
    "can be shown as small pictures: grey is 0.",
    "flatten": "How an image of features becomes the row of values that a dense or output layer takes. Flatten keeps "
    "every value, so that places count, and needs many weights; the average of each channel forgets places, and needs "
    "few (Lin et al. 2014).",
    "freeze depth": "How much of the network, counted from the image, keeps its weights. Frozen layers still compute; "
    "they no longer learn. The deeper the freeze, the fewer parameters train and the less can be adapted "
    "(Yosinski et al. 2014).",
    "Grad-CAM": "Where in an image a class's score comes from: the last convolution's maps, weighted by how the score "
    "depends on each, negative parts left out (Selvaraju et al. 2017). As coarse as these maps.",
    "gradient clipping": "Bounds the norm of all gradients together, so that one odd batch cannot throw the weights "
    "far (Pascanu et al. 2013).",
    "head": "The end of the network. A phase keeps the head it finds, or puts new layers and a new output there.",
    "hierarchy of confusion": "Classes that are confused with each other are put together, step by step: average "
    "linkage of the share of images confused, both directions averaged. Related classes often lie side by side.",
    "ImageNet weights": "What keras.applications offers, learned on 1.28 million photographs of 1,000 classes "
    "(Russakovsky et al. 2015). Keras downloads them once, into its folder.",
    "initial weights": "What the backbone knows before the first phase: nothing (random), what it learned on ImageNet, "
    "or what another run or a file of yours holds. The output layer and new layers start at random.",
    "input size": "Images are resized inside the model, bilinearly. At a larger size convolutions see finer features "
    "of an object, and take longer: twice the side, about four times the time.",
    "L2": "Adds the squares of a layer's weights, times this number, to the loss, so that large weights must be worth "
    "it (Krogh & Hertz 1992). The loss curves include it; 0.0001 to 0.01 is usual.",
    "label smoothing": "The right class counts as a little less than certain, the rest is shared by the others "
    "(Szegedy et al. 2016): the network becomes less sure of itself.",
    "learning-rate schedule": "How the learning rate goes over a phase's epochs: constant, in steps, multiplied by a "
    "factor every epoch, down half a cosine (Loshchilov & Hutter 2017), or lower whenever validation loss stalls.",
    "learning rate": "How far each step goes. Too high, and the loss explodes; too low, and nothing moves. Fine-tuning "
    "usually takes a lower one than training from scratch.",
    "likely label errors": "Images for which another class reaches the probability that its own images get on average "
    "(confident learning, Northcutt et al. 2021). A suspicion, to be looked at: the network may just be wrong.",
    "linear CKA": "How alike two representations of the same images are, 0 to 1, whatever their rotation and scale: "
    "linear centered kernel alignment (Kornblith et al. 2019).",
    "LogME": "How probable a linear model on a network's features makes the right classes, all its weights averaged "
    "over: the logarithm of the maximum evidence, per image (You et al. 2021). Beside it LEEP, from the outputs alone "
    "(Nguyen et al. 2020). Guesses: they rank networks before training, and can be wrong.",
    "macro F1": "The harmonic mean of precision and recall, of each class, averaged with every class counting alike.",
    "mixup": "Mixes each training image, and its label, with another of the batch (Zhang et al. 2018). The share is "
    "drawn from a Beta distribution: the larger its alpha, the more even the mixture.",
    "momentum": "Every step goes on a little in the direction of those before; 0.9 is usual for SGD (Polyak 1964).",
    "optimizer": "The rule that turns gradients into steps. It starts anew in every phase.",
    "output": "One number per class, read as its probability. Usually there is one output for each class of the phase; "
    "with one for each class of the data set, labels keep their numbers, and some outputs stay unused.",
    "parameters": "The numbers a network consists of. Counted as Keras counts a model; what the optimizer keeps beside "
    "them is not included.",
    "phase": "One training within an experiment: on some classes, with some layers frozen. Weights carry over from "
    "phase to phase.",
    "pixel values": "What a network sees of an image: numbers, scaled as it learned them. Every backbone brings its "
    "own scale; with another one, learned weights are worth little.",
    "principal components": "The two directions in which the features vary most. Classes that lie apart here are easy "
    "to tell apart; those that overlap may still differ in other directions.",
    "proof of freezing": "How far each layer's weights moved during a phase, as the norm of the difference. A frozen "
    "layer must show exactly 0.",
    "seed": "The number from which all randomness of a run follows. The same experiment, seed and machine give the "
    "same run, digit by digit; other seeds show how much of a difference is luck.",
    "stored features": "What the frozen layers make of each image, computed once and kept on the disk instead of "
    "computed again in every epoch: the same training, in a fraction of the time.",
    "surgical fine-tuning": "Training one block only, even the first (Lee et al. 2022).",
    "validated on the test set": "The images that the curves are validated on are also the ones that test the final "
    "model, as in most publications. Whoever chooses by such curves gets optimistic numbers.",
    "validation": "Images that are not trained on, and show after every epoch how well the network does. By default a "
    "share of the training images; the test images stay unseen until the end.",
    "warm-up": "The learning rate rises from 0 over the first epochs, so that the first noisy steps of a new head stay "
    "small (Goyal et al. 2017).",
    "weight decay": "Every step shrinks every weight a little, beside the gradient (Loshchilov & Hutter 2019).",
}


def help_for(term: str) -> str:
    """Return the paragraph on a term, with a link to the glossary."""
    anchor = re.sub(r"(?<=[a-z])(?=[A-Z])|\W+", "-", term).lower()  # as Streamlit makes it of a heading
    return f"{TERMS[term]} [Glossary](/Glossary#{anchor})"
