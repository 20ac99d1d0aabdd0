"""Labelled images: where they come from, how they are split and opened. Nothing here imports torch.

samples.py            Sample and Dataset, what everything below makes
catalogue.py          load_dataset: a bundled name, a folder, a manifest or a published split file
in_memory.py          lists of images and labels
torchvision_sets.py   torchvision's data set objects
few_shot.py           a few images per class, as published
splits.py             train, val and test; base and new halves of the classes
images.py             opening, naming and checking single images
exporting.py          a data set written as folders of PNGs
"""
