"""What every stage of the library has in common: Params, saving, output columns."""
