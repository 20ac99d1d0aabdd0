"""The fifteen data sets of the CoOp and CoCoOp papers, by name, in the published layout and split.

sets.py           the list of them, which everything reads; ten_sets.py and imagenet_sets.py: the declarations
published_set.py  what a declaration says
layouts.py        how they say which picture is of which class: folders, lists in text, JSON and MATLAB files
split_files.py    split_zhou_<name>.json, and JSON Lines
loading.py        a data set by its name, held against the published counts; root.py: where the data sets are
"""
