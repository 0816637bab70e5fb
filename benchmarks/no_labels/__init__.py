"""The loop without a human label: drawn faces and a folder of photographs in, labels out."""
