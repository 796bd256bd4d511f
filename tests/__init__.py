"""The generator's promises, one file each."""
