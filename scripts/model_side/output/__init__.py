"""What a model returns: as arrays, compared, checked against the contract, written to files."""
