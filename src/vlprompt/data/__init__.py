"""Labelled images: where they come from, how they are split and opened. Nothing here imports torch.

samples.py            Sample and Dataset, what everything below makes
catalogue.py          load_dataset: a bundled or published name, a folder, a manifest or a published split file
published/            the papers' fifteen data sets: declarations, layouts, split files, downloads
in_memory.py          lists of images and labels
torchvision_sets.py   torchvision's data set objects
few_shot.py           a few images per class, as published
splits.py             train, val and test; base and new halves of the classes
picture_files.py      which files below a folder are pictures; formats.py: by their names and first bytes
image_lists.py        what callers call images, one by one; arrays.py: which arrays are pictures
images.py             opening, naming and checking single images
decoding.py           files decoded within bounds; apart.py: large ones in a process of their own; turns.py: in turn
upright.py            any mode as upright RGB
exporting.py          a data set written as folders of PNGs
"""
