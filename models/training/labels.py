"""What the folders of the photos are called in the network's answers, and their WordNet ids."""

NAMES = {
    "french_fries": "French fries",
    "t_shirt": "T-shirt",
    "other": "something else",
}

WORDNET = {
    "English springer": "n02102040",
    "French fries": "n07711080",
    "French horn": "n03394916",
    "T-shirt": "n03595614",
    "airplane": "n02691156",
    "apple": "n07739125",
    "banana": "n07753592",
    "bedroom": "n02821627",
    "bicycle": "n02834778",
    "big cat": "n02127808",
    "buildings": "n02913152",
    "car": "n02958343",
    "cassette player": "n02979186",
    "cat": "n02121620",
    "chain saw": "n03000684",
    "church": "n03028079",
    "computer mouse": "n03793489",
    "daisy": "n11939491",
    "deer": "n02430045",
    "dog": "n02084071",
    "elephant": "n02503517",
    "garbage truck": "n03417042",
    "gas pump": "n03425413",
    "golf ball": "n03445777",
    "gorilla": "n02480855",
    "horse": "n02374451",
    "house": "n03544360",
    "ice cream": "n07614500",
    "kitchen": "n03619890",
    "monkey": "n02484322",
    "motorcycle": "n03790512",
    "mountain": "n09359803",
    "orange": "n07747607",
    "panda": "n02510455",
    "parachute": "n03888257",
    "pizza": "n07873807",
    "sea": "n09426788",
    "ship": "n04194289",
    "shoe": "n04199027",
    "snake": "n01726692",
    "tench": "n01440764",
}
"""The classes that are known to have one."""


def name(folder: str) -> str:
    """Return the label of a folder."""
    return NAMES.get(folder, folder.replace("_", " "))
