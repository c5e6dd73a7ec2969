"""Icons of many sets as small pictures to train on and to judge with: what they show, how they are drawn and parted.

The icons are those of the npm package @iconify/json, in which every set has its author and licence beside it.
"""
